"""The default codec: its choice (`codec`), analog planes, their mixing, and the hybrid mode with a base."""

from semlink.codecs.semlink.codec import Semlink

PLUGIN = Semlink
