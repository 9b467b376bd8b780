"""What was measured, on disk: records of blocks, rows of all images, the configuration that they answer."""
