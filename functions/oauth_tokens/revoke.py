"""POST /v1/oauth/tokens/revoke - disconnect the caller from a provider."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs import forms
from codegen_runs.audit.acts import Act
from codegen_runs.http.admission import in_query
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization, OrganizationInQuery
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)

Provider = Annotated[str, Query(pattern=forms.PROVIDER, description="The provider, such as `linear`.")]


@app.post("/v1/oauth/tokens/revoke", tags=["OAuth"], summary="Revoke ALL your tokens for a provider")
def revoke_oauth_token(
    named: OrganizationInQuery,  # noqa: ARG001 - for the document
    provider: Provider,
    org_id: Organization,
    codegen: TransparentCodegen,
) -> Any:
    """Disconnect yourself from a provider: all tokens that you have for it in an organization are revoked.

    Agents can use the provider again after you have connected to it again. Needs a Codegen token.
    """
    return codegen.oauth_tokens.revoke(provider, org_id=org_id)


# Everyone may withdraw what they have granted.
handler = endpoint(
    app,
    audit=Act("oauth_tokens.revoke", "provider"),
    verbatim=True,
    own_account=True,
    role=Role.VIEWER,
    organization=in_query("org_id"),
)
