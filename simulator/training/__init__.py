"""Training of networks: runs, channels, pictures."""
