"""GET /v1/users/me - read the user that the token acts as."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import User
from codegen_runs.access import own
from codegen_runs.http.admission import NO_ORGANIZATION
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import CurrentCaller

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/users/me", tags=["Users"], summary="Read the current user")
@app.get("/users/me", include_in_schema=False)
@app.get("/v1/current-user", include_in_schema=False)
@app.get("/current-user", include_in_schema=False)
def get_current_user(codegen: TransparentCodegen, caller: CurrentCaller) -> User:
    """Read the user that the token acts as."""
    return own.user(caller, codegen)


handler = endpoint(app, verbatim=True, organization=NO_ORGANIZATION)
