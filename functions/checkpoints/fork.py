"""POST /v1/organizations/{org_id}/checkpoints/{checkpoint_id}/fork - start another run from a checkpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.audit.acts import Act
from codegen_runs.checkpoints import branching
from codegen_runs.checkpoints.requests import ForkCheckpoint
from codegen_runs.checkpoints.snapshots import RestoredRun
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CheckpointId, CurrentCaller, Organization
from codegen_runs.links import link_to_run

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/checkpoints/<checkpoint_id>/fork",
    status_code=201,
    tags=["Checkpoints"],
    summary="Start another run from a checkpoint",
)
@app.post("/api/checkpoints/<checkpoint_id>/fork", status_code=201, include_in_schema=False)
def fork_checkpoint(
    org_id: Organization,
    checkpoint_id: CheckpointId,
    backend: Backend,
    caller: CurrentCaller,
    request: ForkCheckpoint | None = None,
) -> Response[RestoredRun]:
    """Start another run from a checkpoint, optionally with other instructions, another model or another task.

    The new run receives the conversation up to the checkpoint (`fidelity: context_replay`). Files are not copied. The
    checkpoint's own run does not change, and may still be at work.
    """
    run = branching.fork(checkpoint_id, request or ForkCheckpoint(), org_id=org_id, caller=caller, backend=backend)
    return Response(
        status_code=201,
        content_type="application/json",
        headers={"Location": link_to_run(org_id, run.agent_run_id)},
        body=run,
    )


handler = endpoint(app, audit=Act("checkpoint.fork", "checkpoint_id"))
