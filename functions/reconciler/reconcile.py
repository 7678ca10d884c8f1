"""Every five minutes: settle the multi-runs whose state machine ended without settling them."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import metrics
from codegen_runs.backend import Backend
from codegen_runs.logs import logger
from codegen_runs.metrics import Metric
from codegen_runs.multi_runs import executions, reconciler

backend = Backend()


@logger.inject_lambda_context
def handler(_event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, int]:
    """Run one reconciliation."""
    report = reconciler.reconcile(executions.ended, backend=backend)
    metrics.add(Metric.OPEN_MULTI_RUNS, report.open)
    metrics.add(Metric.SETTLED_MULTI_RUNS, report.settled)
    metrics.write("reconciliation", request_id=context.aws_request_id)
    return {"open": report.open, "settled": report.settled}
