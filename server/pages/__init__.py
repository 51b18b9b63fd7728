"""The server's own pages: the list of sessions, progress, messages, and the bar above Ray's dashboard."""
