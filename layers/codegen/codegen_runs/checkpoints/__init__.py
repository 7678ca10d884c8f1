"""Checkpoints of a run's conversation: create them, read them, and continue from them by replaying the conversation."""
