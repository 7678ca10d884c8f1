"""POST /v1/organizations/{org_id}/setup-commands/generate - start a run that finds a repository's setup commands."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import SetupCommands
from codegen_runs.http.admission import in_body
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.runs import starting
from codegen_runs.runs.requests import GenerateSetupCommands

app = APIGatewayRestResolver(enable_validation=True)


class GenerateSetupCommandsAnywhere(GenerateSetupCommands):
    """The repository, with the organization, when the path does not name it."""

    org_id: int | None = None


@app.post("/v1/organizations/<org_id>/setup-commands/generate", tags=["Setup commands"], summary="Find setup commands")
def generate_setup_commands(
    org_id: Organization, request: GenerateSetupCommands, caller: CurrentCaller, backend: Backend
) -> SetupCommands:
    """Start a run that finds the setup commands of a repository. The run's result contains them."""
    return starting.generate_setup_commands(request, org_id=org_id, caller=caller, backend=backend)


@app.post("/v1/setup-commands", include_in_schema=False)
@app.post("/setup-commands", include_in_schema=False)
def generate_setup_commands_anywhere(
    org_id: Organization, request: GenerateSetupCommandsAnywhere, caller: CurrentCaller, backend: Backend
) -> SetupCommands:
    """Do the same in the organization named in the body, or in the deployment's organization."""
    return starting.generate_setup_commands(request, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, verbatim=True, organization=in_body("org_id"))
