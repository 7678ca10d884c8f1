"""Agent profiles: what an agent is told and given before each of its tasks."""
