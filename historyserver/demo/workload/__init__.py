"""The jobs that the demo submits. Ray runs them as scripts; nothing imports them."""
