"""A fake Codegen API to develop and test against: every operation as observed upstream, and trouble on demand.

    with serve(FakeCodegen(clock=ManualClock())) as base_url: ...     # over real HTTP
    httpx.Client(transport=FakeTransport(fake), base_url=...)         # in-process
    python -m local.fake_codegen --port 3002                          # for people

Where to look:

    app            the operations, by path
    schemas        the bodies of requests and answers
    state          `FakeCodegen`: the runs, organizations and tokens that the operations read and change
    sample_data    the organizations, members and repositories at the start
    runs           what a run shows at any moment
    plans          what a run will do, and how a script changes it
    answers        the text of a run's result
    trouble        what goes wrong with a call
    limits         the rate limits
    webhooks       the calls that tell others that a run has ended
    control        the control surface under `/_fake`
    clock          the fake's time
    persistence    the journal of a fake whose state outlives its process
    server, transport, wire    how calls arrive, and how a connection waits or is cut

The state is in one process: never serve it from several worker processes.
"""

from .app import create_app
from .clock import Clock, ManualClock, SystemClock
from .limits import LIMITS, Limit
from .persistence import Persistence
from .plans import Script
from .runs import Entry, Plan
from .sample_data import (
    DEMO_ORG_ID,
    DEMO_REPO_ID,
    DEMO_SANDBOX_ID,
    DEMO_TOKEN,
    DEMO_USER_ID,
    EMPTY_ORG_ID,
    FOREIGN_ORG_ID,
    OTHER_TOKEN,
)
from .server import serve
from .state import FakeCodegen
from .transport import FakeTransport
from .trouble import Trouble

__all__ = [
    "DEMO_ORG_ID",
    "DEMO_REPO_ID",
    "DEMO_SANDBOX_ID",
    "DEMO_TOKEN",
    "DEMO_USER_ID",
    "EMPTY_ORG_ID",
    "FOREIGN_ORG_ID",
    "LIMITS",
    "OTHER_TOKEN",
    "Clock",
    "Entry",
    "FakeCodegen",
    "FakeTransport",
    "Limit",
    "ManualClock",
    "Persistence",
    "Plan",
    "Script",
    "SystemClock",
    "Trouble",
    "create_app",
    "serve",
]
