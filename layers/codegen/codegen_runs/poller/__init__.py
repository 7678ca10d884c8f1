"""The poller: it launches queued runs, observes launched ones, and completes Step Functions tasks."""
