"""Checkpoints: making them, reading them, and starting runs from them, as far as an agent's words can be replayed."""
