"""Chat: a conversation is a run, each message is a turn of the run, and the answer is a view of the event log."""
