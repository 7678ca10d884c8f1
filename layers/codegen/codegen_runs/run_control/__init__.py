"""Cancelling and pausing runs, as far as the Codegen API has ways to do so, and saying what is possible."""
