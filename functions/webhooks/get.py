"""GET /v1/organizations/{org_id}/webhooks/agent-run - read the webhook for ended runs."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import WebhookConfig
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/webhooks/agent-run", tags=["Webhooks"], summary="Read the webhook")
def get_webhook(org_id: Organization, codegen: TransparentCodegen) -> WebhookConfig:
    """Read the webhook that Codegen calls when a run of the organization ends. Its secret is never returned."""
    return codegen.webhooks.get(org_id=org_id)


handler = endpoint(app, verbatim=True, role=Role.MEMBER)  # The URL of a webhook often contains a secret.
