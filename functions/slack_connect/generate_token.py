"""POST /v1/slack-connect/generate-token - create a token that connects the caller's Slack account."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import SlackToken
from codegen_runs.audit.acts import Act
from codegen_runs.bodies import Body
from codegen_runs.http.admission import in_body
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization

app = APIGatewayRestResolver(enable_validation=True)


class GenerateSlackToken(Body):
    """The organization that the Slack account is connected to."""

    org_id: int


@app.post("/v1/slack-connect/generate-token", tags=["Slack"], summary="Create a token for Slack")
def generate_slack_token(
    org_id: Organization,
    request: GenerateSlackToken,  # noqa: ARG001 - for the document
    codegen: TransparentCodegen,
) -> SlackToken:
    """Create a token that connects the Slack account that sends it to Codegen's bot. Needs a Codegen token.

    Keep it secret: whoever sends it to the bot acts as you. It can be used once, within ten minutes.
    """
    return codegen.slack_connect.generate_token(org_id=org_id)


handler = endpoint(
    app,
    audit=Act("slack_token.create"),
    verbatim=True,
    own_account=True,
    secret=True,
    organization=in_body("org_id", required=True),
)
