"""Who may do what: API tokens of this deployment, roles in organizations, and what an organization has set."""
