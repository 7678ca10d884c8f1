"""GET, PUT, DELETE /v1/organizations/{org_id}/doorbell - read the doorbell's state, turn it on, and turn it off.

One function has the three methods, because each function takes several of the resources that a stack may have.
"""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.doorbell import registering
from codegen_runs.doorbell.registering import DoorbellCard, TurnOnDoorbell
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Address, Backend, Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/doorbell", tags=["Webhooks"], summary="Read the state of the doorbell")
def get_doorbell(org_id: Organization, backend: Backend) -> DoorbellCard:
    """Read whether Codegen calls the doorbell when a run ends, and which other webhook is configured there."""
    return registering.read(org_id, backend=backend)


@app.put("/v1/organizations/<org_id>/doorbell", tags=["Webhooks"], summary="Turn on the doorbell")
def turn_on_doorbell(org_id: Organization, request: TurnOnDoorbell, address: Address, backend: Backend) -> DoorbellCard:
    """Have Codegen call the doorbell when a run ends. Another webhook is replaced only with `forward: true`."""
    return registering.turn_on(request, org_id=org_id, address=address, backend=backend)


@app.delete("/v1/organizations/<org_id>/doorbell", tags=["Webhooks"], summary="Turn off the doorbell")
def turn_off_doorbell(org_id: Organization, backend: Backend) -> DoorbellCard:
    """Restore the webhook that the doorbell replaced, or delete the doorbell at Codegen."""
    return registering.turn_off(org_id, backend=backend)


handler = endpoint(
    app,
    audit={"PUT": Act("doorbell.turn_on", details=("forward",)), "DELETE": Act("doorbell.turn_off")},
    role=Role.ADMIN,
    secret=True,  # The URL of a webhook often contains one.
)
