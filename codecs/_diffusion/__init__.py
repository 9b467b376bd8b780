"""What diffusion decoders share: noise levels, denoisers, their training and the diffusers pipelines around them."""
