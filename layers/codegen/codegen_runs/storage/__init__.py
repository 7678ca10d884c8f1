"""The DynamoDB tables: one module per table, over the small client in `table`."""
