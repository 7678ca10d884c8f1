"""What lasts: one module per table, over the thin DynamoDB door in `table`."""
