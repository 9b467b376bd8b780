"""SwinJSCC: Swin transformers steered by SNR and rate."""

from semlink.codecs.swinjscc.codec import Swinjscc

PLUGIN = Swinjscc
