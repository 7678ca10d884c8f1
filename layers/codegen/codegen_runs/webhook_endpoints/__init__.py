"""Messages about runs to the callers' own endpoints, after the Standard Webhooks specification."""
