"""SGD-JSCC: latent JSCC with a diffusion denoiser, its autoencoder and its blind estimator of the noise level."""

from semlink.codecs.sgd_jscc.codec import SgdJscc

PLUGIN = SgdJscc
