"""Run the stack on one machine."""
