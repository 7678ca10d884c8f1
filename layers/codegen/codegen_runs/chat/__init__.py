"""Chat: a conversation is a run, each of its messages a turn of that, and the answer a view of the event log."""
