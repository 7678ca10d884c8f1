"""Budgets: how many runs and follow-ups an organization and each of its callers may use."""
