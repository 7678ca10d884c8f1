"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/events - read the events of a run, and wait for more."""

from contextlib import nullcontext
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs import settings
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import After, Backend, Before, CurrentCaller, Id, Organization, SecondsLeft, Views
from codegen_runs.live import longpoll
from codegen_runs.live.longpoll import MAX_WAIT, EventList
from codegen_runs.live.reading import PAGE, open_reader
from codegen_runs.live.viewers import streaming

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=PAGE, description="How many events to return at most.")]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT, description="Seconds to wait for an event if there is none yet.")]


@app.get(
    "/v1/organizations/<org_id>/agent/run/<agent_run_id>/events",
    tags=["Live"],
    summary="Read the events of an agent run",
)
def list_events(
    org_id: Organization,
    agent_run_id: Id,
    caller: CurrentCaller,
    backend: Backend,
    seconds: SecondsLeft,
    views: Views,
    after: After = None,
    before: Before = None,
    limit: Limit = PAGE,
    wait: Wait = 0,
) -> Response[EventList]:
    """Read the events of a run, oldest first. With `wait`, the request waits for the first event.

    Send each `next_cursor` as `after` in the next request to get every event exactly once. To begin at the end of a
    long log, send `before=latest`, then the id of the first event that you have as `before`.
    """
    now = backend.clock.now()
    reader = open_reader(
        org_id=org_id, agent_run_id=agent_run_id, after=after, caller=caller, views=views, backend=backend
    )
    headers = {"Cache-Control": "no-store", "Stream-Retention-Seconds": str(settings.event_retention())}
    if before is not None:
        answer = longpoll.read_before(reader, before, limit=limit)
        return Response(status_code=200, content_type="application/json", body=answer, headers=headers)
    held = min(wait, seconds) if views else 0.0
    # Only a request that may wait counts as a stream.
    with streaming(caller, reader.followed.key, seconds=held, backend=backend) if held > 0 else nullcontext():
        answer = longpoll.read(reader, limit=limit, until=now + held)
    return Response(status_code=200, content_type="application/json", body=answer, headers=headers)


handler = endpoint(app)
