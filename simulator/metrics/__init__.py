"""Pure quality metrics: [batch, 3, H, W] pictures in [0, 1] in, one number per image out."""
