"""Conformance tests for plug-ins: what every codec, every channel and every link must do."""
