"""Segments become parts: what collectors stored, decoded to observations that merge in any order."""
