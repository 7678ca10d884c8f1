"""Measurements against a baseline that does the same job; see README.md."""
