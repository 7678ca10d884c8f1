"""Access: authentication, API tokens of this deployment, roles in organizations, and settings of organizations."""
