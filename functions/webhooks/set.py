"""POST /v1/organizations/{org_id}/webhooks/agent-run - set the webhook for ended runs."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import Field

from codegen_runs.audit.acts import Act
from codegen_runs.bodies import Body, WebUrl
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


class SetWebhook(Body):
    """The webhook for ended runs."""

    url: WebUrl
    secret: Annotated[str | None, Field(description="Codegen signs its requests with it.")] = None
    enabled: bool = True


@app.post("/v1/organizations/<org_id>/webhooks/agent-run", tags=["Webhooks"], summary="Set the webhook")
def set_webhook(org_id: Organization, request: SetWebhook, codegen: TransparentCodegen) -> Any:
    """Set the webhook that Codegen calls when a run of the organization ends. It replaces the current one."""
    return codegen.webhooks.set(request.url, secret=request.secret, enabled=request.enabled, org_id=org_id)


handler = endpoint(
    app,
    audit=Act("webhook.set", details=("enabled",)),
    verbatim=True,
    role=Role.ADMIN,
    codegen_decides=True,
    secret=True,
)
