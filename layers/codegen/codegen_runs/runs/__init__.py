"""Runs that the poller follows: how they start, how their state changes, and how callers see them."""
