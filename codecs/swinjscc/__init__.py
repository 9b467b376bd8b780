"""SwinJSCC: the codec, its network, and the Swin transformer's stages and windows."""

from semlink.codecs.swinjscc.codec import Swinjscc

PLUGIN = Swinjscc
