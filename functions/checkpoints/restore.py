"""POST /v1/organizations/{org_id}/checkpoints/{checkpoint_id}/restore - continue from a checkpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.audit.acts import Act
from codegen_runs.checkpoints import branching
from codegen_runs.checkpoints.requests import RestoreCheckpoint
from codegen_runs.checkpoints.snapshots import RestoredRun
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CheckpointId, CurrentCaller, Organization
from codegen_runs.links import link_to_run

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/checkpoints/<checkpoint_id>/restore",
    tags=["Checkpoints"],
    summary="Continue from a checkpoint",
    responses={
        200: {"description": "The same run continues.", "content": {"application/json": {"model": RestoredRun}}},
        201: {"description": "A new run was started.", "content": {"application/json": {"model": RestoredRun}}},
    },
)
@app.post("/api/checkpoints/<checkpoint_id>/restore", include_in_schema=False)
def restore_checkpoint(
    org_id: Organization,
    checkpoint_id: CheckpointId,
    backend: Backend,
    caller: CurrentCaller,
    request: RestoreCheckpoint | None = None,
) -> Response[RestoredRun]:
    """Continue from a checkpoint. Returns 201 with a new run, or 200 with the same run if `create_new_run` is false.

    The agent receives the conversation up to the checkpoint again (`fidelity: context_replay`). Files are not rewound.
    The checkpoint's run may still be at work.
    """
    run = branching.restore(
        checkpoint_id, request or RestoreCheckpoint(), org_id=org_id, caller=caller, backend=backend
    )
    return Response(
        status_code=201 if run.created_new_run else 200,
        content_type="application/json",
        headers={"Location": link_to_run(org_id, run.agent_run_id)},
        body=run,
    )


handler = endpoint(app, audit=Act("checkpoint.restore", "checkpoint_id"))
