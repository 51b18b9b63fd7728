"""The view: what the server has worked out of a session so far."""
