"""Figures for people, from rows. Need matplotlib; made without pyplot, so there is no global state."""
