"""Agent profiles: the instructions, configuration, model and repository of an agent."""
