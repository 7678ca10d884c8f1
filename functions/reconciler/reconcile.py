"""Every five minutes: settle the multi-runs whose state machine ended without settling them."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import executions, reconciler

logger = Logger()
metrics = Metrics()
backend = Backend()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(_event: dict[str, Any], _context: LambdaContext, backend: Backend = backend) -> dict[str, int]:
    """Run one reconciliation."""
    report = reconciler.reconcile(executions.ended, backend=backend)
    metrics.add_metric("OpenMultiRuns", MetricUnit.Count, report.open)
    metrics.add_metric("SettledMultiRuns", MetricUnit.Count, report.settled)
    return {"open": report.open, "settled": report.settled}
