"""POST /v1/users/me/api-tokens - create an API token of this deployment."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.access import tokens
from codegen_runs.access.tokens import CreateApiToken, NewApiToken
from codegen_runs.audit.acts import Act
from codegen_runs.http.admission import NO_ORGANIZATION
from codegen_runs.http.codegen import DeploymentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/users/me/api-tokens", status_code=201, tags=["Access"], summary="Create an API token")
def create_api_token(
    request: CreateApiToken, caller: CurrentCaller, deployment: DeploymentCodegen, backend: Backend
) -> NewApiToken:
    """Create a token of this deployment that cannot do more than you. Its secret is shown only in this answer."""
    return tokens.create(request, caller=caller, deployment=deployment, backend=backend)


handler = endpoint(
    app,
    audit=Act("api_token.create", made="id", details=("role", "organizations")),
    secret=True,
    organization=NO_ORGANIZATION,
)
