"""Image coders, and what the separated baselines make of them."""
