"""Segments become parts: decoding of what collectors stored, as observations that merge in any order. Pure."""
