"""The default codec: a folder, because it has a hybrid mode, planes and mixing."""

from semlink.codecs.semlink.codec import Semlink

PLUGIN = Semlink
