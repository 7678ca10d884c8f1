"""DELETE /v1/users/me/api-tokens/{token_id} - revoke an API token."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs import settings
from codegen_runs.access import tokens
from codegen_runs.clock import SystemClock
from codegen_runs.http.edge import CurrentCaller, endpoint
from codegen_runs.storage.access import AccessTable

app = APIGatewayRestResolver(enable_validation=True)


@app.delete("/v1/users/me/api-tokens/<token_id>", status_code=204, tags=["Access"], summary="Revoke an API token")
def revoke_api_token(token_id: str, caller: CurrentCaller) -> None:
    """Revoke a token of the caller; the next request with it is refused. One that is revoked already stays so."""
    table = AccessTable(settings.required("ACCESS_TABLE"))
    tokens.revoke(token_id, caller=caller, table=table, clock=SystemClock())


handler = endpoint(app)
