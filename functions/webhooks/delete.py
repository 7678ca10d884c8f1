"""DELETE /v1/organizations/{org_id}/webhooks/agent-run - delete the webhook for ended runs."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.delete("/v1/organizations/<org_id>/webhooks/agent-run", tags=["Webhooks"], summary="Delete the webhook")
def delete_webhook(org_id: Organization, codegen: TransparentCodegen) -> Any:
    """Delete the webhook of the organization, with its secret."""
    return codegen.webhooks.delete(org_id=org_id)


handler = endpoint(app, audit=Act("webhook.delete"), verbatim=True, role=Role.ADMIN, codegen_decides=True)
