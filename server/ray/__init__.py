"""Ray's dashboard API (as of 2.60), answered from the archive: one module a noun."""
