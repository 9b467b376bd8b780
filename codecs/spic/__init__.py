"""SPIC on a real link: a segmentation map and a coarse picture, each a stream of its own, and a diffusion receiver."""
