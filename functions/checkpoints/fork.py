"""POST /v1/organizations/{org_id}/checkpoints/{checkpoint_id}/fork - start another run from a checkpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.checkpoints import branching
from codegen_runs.checkpoints.requests import ForkCheckpoint
from codegen_runs.checkpoints.snapshots import RestoredRun
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, DefaultOrganization, endpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/checkpoints/<checkpoint_id>/fork",
    status_code=201,
    tags=["Checkpoints"],
    summary="Start another run from a checkpoint",
)
def fork_checkpoint(
    org_id: int, checkpoint_id: str, codegen: Codegen, caller: CurrentCaller, request: ForkCheckpoint | None = None
) -> Response[RestoredRun]:
    """Start another run from a checkpoint, with other instructions, another model or another task.

    It is told what was said until then (`fidelity: context_replay`); files are not copied. The run that the checkpoint
    is of stays as it is, and may still be at work.
    """
    run = branching.fork(checkpoint_id, request or ForkCheckpoint(), org_id=org_id, caller=caller, codegen=codegen)
    return Response(
        status_code=201,
        content_type="application/json",
        headers={"Location": f"/v1/organizations/{org_id}/agent/run/{run.agent_run_id}"},
        body=run,
    )


@app.post("/api/checkpoints/<checkpoint_id>/fork", status_code=201, include_in_schema=False)
def fork_checkpoint_of_deployment(
    org_id: DefaultOrganization,
    checkpoint_id: str,
    codegen: Codegen,
    caller: CurrentCaller,
    request: ForkCheckpoint | None = None,
) -> Response[RestoredRun]:
    """Do the same in the deployment's organization."""
    return fork_checkpoint(org_id, checkpoint_id, codegen, caller, request)


handler = endpoint(app)
