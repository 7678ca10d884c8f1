"""The audit trail: who did what to an organization and what it owns, in a chain that shows each change of it."""
