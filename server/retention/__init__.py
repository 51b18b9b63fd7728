"""Retention: which sessions are old enough, and their removal."""
