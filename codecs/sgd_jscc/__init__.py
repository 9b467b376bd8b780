"""SGD-JSCC: latent JSCC with a diffusion denoiser; its autoencoder, guides and blind estimator of the noise level."""

from semlink.codecs.sgd_jscc.codec import SgdJscc

PLUGIN = SgdJscc
