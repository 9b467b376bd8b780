"""Bits to symbols, known to both ends: schemes, framing, information, chances of arrival."""
