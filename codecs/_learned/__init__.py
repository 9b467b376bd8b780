"""What learned codecs share: latents and symbols, prefixes, weights, modulated networks."""
