"""The operations of the API, one module per resource. Each is written once for both clients."""
