"""A Codegen to develop and test against: every upstream operation over HTTP, as observed, and trouble on demand.

    with serve(FakeCodegen(clock=ManualClock())) as base_url: ...     # over real HTTP
    httpx.Client(transport=FakeTransport(fake), base_url=...)         # in-process
    python -m local.fake_codegen --port 3002                          # for people

Where to look: `app` the operations, `world` the state, `runs` what a run shows at any moment, `plans` what it will do
and how a script changes that, `answers` what it says, `trouble` what goes wrong with a call, `wire` and `server` how a
connection is cut, `limits` the rate limits, `control` the surface under `/_fake`, `demo` who there is.

State is in the memory of one process: never serve it from several workers.
"""

from .app import create_app
from .clock import Clock, ManualClock, SystemClock
from .limits import LIMITS, Limit
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
    "Plan",
    "Script",
    "SystemClock",
    "Trouble",
    "create_app",
    "serve",
]
