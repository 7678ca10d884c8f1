"""POST /v1/users/me/api-tokens - make an API token of this deployment."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs import settings
from codegen_runs.access import tokens
from codegen_runs.access.tokens import CreateApiToken, NewApiToken
from codegen_runs.clock import SystemClock
from codegen_runs.http.codegen import Deployment
from codegen_runs.http.edge import CurrentCaller, endpoint
from codegen_runs.storage.access import AccessTable

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/users/me/api-tokens", status_code=201, tags=["Access"], summary="Make an API token")
def create_api_token(request: CreateApiToken, caller: CurrentCaller, deployment: Deployment) -> NewApiToken:
    """Make a token that may do no more than its maker, here and nowhere else. Its secret is shown this once."""
    return tokens.create(
        request,
        caller=caller,
        deployment=deployment,
        table=AccessTable(settings.required("ACCESS_TABLE")),
        clock=SystemClock(),
    )


handler = endpoint(app, secret=True)
