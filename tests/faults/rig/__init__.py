"""A made-up Ray node, a collector beside it that can be killed, and a judge of what the archive kept."""
