"""POST /v1/oauth/tokens/revoke - disconnect the caller from a provider."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.admission import organization
from codegen_runs.http.codegen import OwnCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import CurrentCaller, OrganizationInQuery
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/oauth/tokens/revoke", tags=["OAuth"], summary="Revoke ALL your tokens for a provider")
def revoke_oauth_token(
    in_organization: OrganizationInQuery, provider: str, caller: CurrentCaller, codegen: OwnCodegen
) -> Any:
    """Disconnect yourself from a provider: all tokens that you have for it in an organization are revoked.

    Agents can use the provider again after you have connected to it again. Needs a Codegen token.
    """
    return codegen.oauth_tokens.revoke(provider, org_id=organization(caller, in_organization))


handler = endpoint(app, role=Role.VIEWER)  # Everyone may withdraw what they have granted.
