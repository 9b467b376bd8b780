"""One transmission: power, layout, OFDM link, estimation, equalisation, and what was measured on the way."""
