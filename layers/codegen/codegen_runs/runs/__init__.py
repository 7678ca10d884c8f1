"""A followed run: how it is started, how its state changes, and how it is shown."""
