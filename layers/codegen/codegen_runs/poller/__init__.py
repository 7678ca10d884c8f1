"""The poller: it launches queued runs, observes running ones, and completes Step Functions tasks."""
