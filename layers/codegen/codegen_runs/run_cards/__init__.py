"""Runs as a user interface shows them: lists, filters, search, details, summarised logs and stars."""
