"""POST /v1/organizations/{org_id}/checkpoints/{checkpoint_id}/restore - go on from a checkpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.checkpoints import branching
from codegen_runs.checkpoints.requests import RestoreCheckpoint
from codegen_runs.checkpoints.snapshots import RestoredRun
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, DefaultOrganization, endpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/checkpoints/<checkpoint_id>/restore",
    tags=["Checkpoints"],
    summary="Go on from a checkpoint",
    responses={
        200: {"description": "The same run goes on.", "content": {"application/json": {"model": RestoredRun}}},
        201: {"description": "A new run was started.", "content": {"application/json": {"model": RestoredRun}}},
    },
)
def restore_checkpoint(
    org_id: int, checkpoint_id: str, codegen: Codegen, caller: CurrentCaller, request: RestoreCheckpoint | None = None
) -> Response[RestoredRun]:
    """Go on from a checkpoint: 201 with a new run, or 200 with the same one, told to go back (`create_new_run: false`).

    The agent is told again what was said until then (`fidelity: context_replay`); files are not rewound. The run that
    the checkpoint is of may still be at work.
    """
    run = branching.restore(
        checkpoint_id, request or RestoreCheckpoint(), org_id=org_id, caller=caller, codegen=codegen
    )
    return Response(
        status_code=201 if run.created_new_run else 200,
        content_type="application/json",
        headers={"Location": f"/v1/organizations/{org_id}/agent/run/{run.agent_run_id}"},
        body=run,
    )


@app.post("/api/checkpoints/<checkpoint_id>/restore", include_in_schema=False)
def restore_checkpoint_of_deployment(
    org_id: DefaultOrganization,
    checkpoint_id: str,
    codegen: Codegen,
    caller: CurrentCaller,
    request: RestoreCheckpoint | None = None,
) -> Response[RestoredRun]:
    """Do the same in the deployment's organization."""
    return restore_checkpoint(org_id, checkpoint_id, codegen, caller, request)


handler = endpoint(app)
