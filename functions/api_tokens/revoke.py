"""DELETE /v1/users/me/api-tokens/{token_id} - revoke an API token."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.access import tokens
from codegen_runs.audit.acts import Act
from codegen_runs.http.admission import NO_ORGANIZATION
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import ApiTokenId, Backend, CurrentCaller
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.delete("/v1/users/me/api-tokens/<token_id>", status_code=204, tags=["Access"], summary="Revoke an API token")
def revoke_api_token(token_id: ApiTokenId, caller: CurrentCaller, backend: Backend) -> None:
    """Revoke one of your tokens; the next request with it is refused. Revoking a token twice has no further effect.

    An API token can revoke only itself.
    """
    tokens.revoke(token_id, caller=caller, backend=backend)


# Everyone may revoke their own tokens.
handler = endpoint(
    app, audit=Act("api_token.revoke", "token_id"), role=Role.VIEWER, own_data=True, organization=NO_ORGANIZATION
)
