"""POST /v1/doorbell/{doorbell} - ring the doorbell, which Codegen's webhook does when a run ends."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import BaseModel

from codegen_runs.doorbell import ringing
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, DoorbellName, SentCall

app = APIGatewayRestResolver(enable_validation=True)


class Rung(BaseModel):
    """The answer to every call, whatever it has led to."""

    received: bool = True


@app.post("/v1/doorbell/<doorbell>", status_code=202, tags=["Webhooks"], summary="Ring the doorbell")
def ring_doorbell(doorbell: DoorbellName, call: SentCall, backend: Backend) -> Rung:
    """Have a run read now. Codegen calls this URL; nothing in the body is believed but the id of the run."""
    ringing.ring(doorbell, call.headers, call.content, backend=backend)
    return Rung()


handler = endpoint(app, verbatim=True, public=True, any_body=True)
