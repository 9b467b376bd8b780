"""Published networks from the user's clone: the codec, and a file for each layout of a clone."""

from semlink.codecs.checkpoint.codec import Checkpoint

PLUGIN = Checkpoint
