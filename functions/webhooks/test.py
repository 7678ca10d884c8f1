"""POST /v1/organizations/{org_id}/webhooks/agent-run/test - let Codegen send a test to a URL."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.bodies import Body, WebUrl
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.limits.permits import permit
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


class TestWebhook(Body):
    """The URL that gets the test."""

    url: WebUrl


@app.post("/v1/organizations/<org_id>/webhooks/agent-run/test", tags=["Webhooks"], summary="Test a webhook")
def test_webhook(
    org_id: Organization, request: TestWebhook, codegen: TransparentCodegen, caller: CurrentCaller, backend: Backend
) -> Any:
    """Let Codegen send a test to a URL. The webhook of the organization stays as it is."""
    with permit("webhook_test", caller, org_id, backend):
        return codegen.webhooks.test(request.url, org_id=org_id)


handler = endpoint(
    app, verbatim=True, role=Role.ADMIN, codegen_decides=True, secret=True
)  # The URL can contain a secret.
