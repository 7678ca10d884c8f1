"""Tickets that open a stream in a browser: `api.stream_tickets`. Only a deployment has them."""

from .._core import Core
from .._deployment import require_deployment
from .._deployment_models import StreamTicket
from .._errors import InvalidArgumentError
from .._flows import perform
from .._ids import Id, as_id, as_name
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking


def create(
    core: Core, *, agent_run_id: Id | None = None, multi_run_id: str | None = None, org_id: Id | None = None
) -> Flow[StreamTicket]:
    """Create a ticket for the stream of one run or of one multi-run.

    An `EventSource` and a `WebSocket` cannot send a token. A ticket opens one of them once, within a minute.
    """
    if (agent_run_id is None) == (multi_run_id is None):
        raise InvalidArgumentError("a ticket is for one run or one multi-run: pass agent_run_id or multi_run_id")
    yield from require_deployment(core, "stream tickets")
    body = {
        "organization_id": core.org(org_id),
        "agent_run_id": None if agent_run_id is None else as_id(agent_run_id),
        "multi_run_id": None if multi_run_id is None else as_name(multi_run_id),
    }
    # No idempotency key: a deployment would have to store the ticket to replay it.
    return (yield from perform(Call("POST", "/v1/stream-tickets", StreamTicket.read, body=body)))


class StreamTicketsResource(Resource):
    """Tickets that open a stream in a browser."""

    create = blocking(create)


class AsyncStreamTicketsResource(AsyncResource):
    """Tickets that open a stream in a browser."""

    create = awaitable(create)
