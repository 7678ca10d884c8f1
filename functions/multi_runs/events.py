"""GET /v1/organizations/{org_id}/multi-runs/{multi_run_id}/events - read a multi-run's events, and wait for more."""

from contextlib import nullcontext
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs import settings
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import After, Backend, CurrentCaller, MultiRunId, Organization, SecondsLeft, Views
from codegen_runs.live import multi_runs
from codegen_runs.live.longpoll import MAX_WAIT
from codegen_runs.live.multi_runs import MultiRunEvents
from codegen_runs.live.reading import PAGE
from codegen_runs.live.viewers import streaming

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=PAGE, description="How many events to return at most.")]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT, description="Seconds to wait for an event if there is none yet.")]


@app.get(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/events",
    tags=["Multi-runs"],
    summary="Read the events of a multi-run",
)
def list_multi_run_events(
    org_id: Organization,
    multi_run_id: MultiRunId,
    caller: CurrentCaller,
    backend: Backend,
    seconds: SecondsLeft,
    views: Views,
    after: After = None,
    limit: Limit = PAGE,
    wait: Wait = 0,
) -> Response[MultiRunEvents]:
    """Read the events of a multi-run, oldest first. With `wait`, the request waits for the first event.

    Send each `next_cursor` as `after` in the next request to get every event exactly once.
    """
    now = backend.clock.now()
    reader = multi_runs.open_multi_run_reader(org_id=org_id, multi_run_id=multi_run_id, after=after, backend=backend)
    held = min(wait, seconds) if views else 0.0
    # Only a request that may wait counts as a stream.
    with streaming(caller, reader.followed.key, seconds=held, backend=backend) if held > 0 else nullcontext():
        answer = multi_runs.read(reader, limit=limit, until=now + held)
    headers = {"Cache-Control": "no-store", "Stream-Retention-Seconds": str(settings.event_retention())}
    return Response(status_code=200, content_type="application/json", body=answer, headers=headers)


handler = endpoint(app)
