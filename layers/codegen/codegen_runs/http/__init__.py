"""The HTTP edge: admission, answers, problems, idempotency, and the parameters that handlers share."""
