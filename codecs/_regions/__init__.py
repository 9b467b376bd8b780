"""Regions of interest: cells, masks, positions, random shapes, and the network that sees them."""
