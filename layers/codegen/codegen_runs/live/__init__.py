"""Live views of a run's event log: long poll, server-sent events and WebSocket."""
