"""Semantic frames over analog symbols: of each frame the planes that are lacked most, decoded against a cue.

A re-implementation from the published description of WVSC (Xie et al., WCNC 2025), with sizes of our own: semantic
frames, references and changes against them. Unlike it, motion is told, in a protected block of at most an eighth of the
channel uses, which also says which planes follow; where that block is lost, the receiver supposes what it said.
"""

from __future__ import annotations

from semlink.codecs.video._semantic_codec import SemanticCodec


class Wvsc(SemanticCodec):
    __doc__ = SemanticCodec.__doc__


PLUGIN = Wvsc
