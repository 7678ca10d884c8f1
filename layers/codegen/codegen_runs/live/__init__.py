"""Views of a run's event log for those who watch it."""
