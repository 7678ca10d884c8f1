"""The operations, one module per resource: each written once, then offered by the two faces."""
