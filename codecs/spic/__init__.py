"""SPIC on a real link: a class map and a coarse picture, each a stream of its own, and a diffusion receiver."""

from semlink.codecs.spic.codec import Spic

PLUGIN = Spic
