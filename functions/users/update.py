"""PATCH /v1/organizations/{org_id}/users/{user_id} - give a user of an organization a role."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs import settings
from codegen_runs.access import members
from codegen_runs.access.members import UpdatedMember, UpdateUser
from codegen_runs.clock import SystemClock
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, endpoint
from codegen_runs.roles import Role
from codegen_runs.storage.access import AccessTable

app = APIGatewayRestResolver(enable_validation=True)


@app.patch("/v1/organizations/<org_id>/users/<user_id>", tags=["Users"], summary="Give a user a role")
def update_user(
    org_id: int, user_id: int, request: UpdateUser, codegen: Codegen, caller: CurrentCaller
) -> UpdatedMember:
    """Say what a user may do in this deployment, as an admin of the organization. At Codegen nothing changes."""
    return members.update(
        request,
        org_id=org_id,
        user_id=user_id,
        caller=caller,
        codegen=codegen,
        table=AccessTable(settings.required("ACCESS_TABLE")),
        clock=SystemClock(),
    )


handler = endpoint(app, role=Role.ADMIN)
