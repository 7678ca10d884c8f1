"""Runs as a user interface shows them: listed, filtered and searched, read in detail, with their logs summarised."""
