"""The logs of a session: which there are, where their bytes lie, whose they are, and how they are sent.

Logs are read straight from segments, by ranged reads, so they can be read before the session's view is ready.
"""
