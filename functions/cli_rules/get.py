"""GET /v1/organizations/{org_id}/cli/rules - read the rules for agents that a command line tool runs."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import CliRules
from codegen_runs.access import own
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import CurrentCaller, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/cli/rules", tags=["Organizations"], summary="Read the rules for command line tools"
)
def get_cli_rules(org_id: Organization, caller: CurrentCaller, codegen: TransparentCodegen) -> CliRules:
    """Read the rules of an organization and your own prompt, for agents that a command line tool runs."""
    return own.rules(caller, codegen, org_id=org_id)


handler = endpoint(app, verbatim=True)
