"""The control surface under `/_fake`: not part of the upstream's API, needs no token, for loopback only.

GET    /_fake             the settings, the counts so far, and the operations that trouble can be scripted for
GET    /_fake/help        this page, every kind of trouble and every field of a script
POST   /_fake/troubles    {"operation": "create_agent_run", "trouble": {"kind": "error", "status": 402}, "times": 2}
DELETE /_fake/troubles    remove all trouble
POST   /_fake/scripts     {"script": {"ending": "FAILED"}, "times": 1}: script the next runs that are created or resumed
PUT    /_fake/runs/{id}   {"ending": "TIMEOUT", "seconds": 5}: script this run, from the start of its last turn
GET    /_fake/creates     every create that took effect, with the body as sent
POST   /_fake/clock       {"advance": 60}: move the clock forward by this number of seconds
PUT    /_fake/settings    {"pace": 0.1, "rate_limits": false, "retry_after": false}
POST   /_fake/reset       return to the initial state
"""

from __future__ import annotations

import inspect
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat

from . import plans
from .clock import timestamp
from .limits import LIMITS
from .plans import Script
from .state import FakeCodegen
from .trouble import ANY_OPERATION, Trouble

router = APIRouter(prefix="/_fake", include_in_schema=False)


async def _fake(request: Request) -> FakeCodegen:
    fake: FakeCodegen = request.app.state.fake
    return fake


Fake = Annotated[FakeCodegen, Depends(_fake)]


class _ControlRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AddTrouble(_ControlRequest):
    """Trouble for the next calls of an operation; `times: null` means every call until cleared."""

    operation: str
    trouble: Trouble
    times: int | None = Field(1, ge=1)


class AddScript(_ControlRequest):
    """A script for the next runs that are created or resumed."""

    script: Script
    times: int = Field(1, ge=1)


class MoveClock(_ControlRequest):
    """The seconds to move the clock forward."""

    advance: NonNegativeFloat


class Settings(_ControlRequest):
    """The settings to change. Settings that are left out stay as they are."""

    pace: NonNegativeFloat | None = None
    rate_limits: bool | None = None
    retry_after: bool | None = None


@router.get("")
async def show(fake: Fake, request: Request) -> dict[str, Any]:
    """Show the state."""
    return {
        "now": timestamp(fake.clock.now()),
        "pace": fake.pace,
        "rate_limits": bool(fake.limiter.limits),
        "retry_after": fake.limiter.retry_after,
        "calls": dict(fake.calls),
        "creates": len(fake.creates),
        "troubles": fake.troubles.pending(),
        "operations": _operations(request),
    }


@router.get("/help", response_class=PlainTextResponse)
async def explain() -> str:
    """Describe the control surface, troubles and scripts."""
    fields = Script.model_json_schema()["properties"]
    script = "\n".join(f"* `{name}`: {' '.join(schema['description'].split())}" for name, schema in fields.items())
    pages = (__doc__, inspect.getdoc(Trouble), plans.__doc__, script)
    return "\n\n".join(str(page).strip() for page in pages) + "\n"


@router.post("/troubles")
async def add_trouble(fake: Fake, body: AddTrouble, request: Request) -> dict[str, Any]:
    """Script trouble for the next calls of an operation."""
    known = _operations(request)
    if body.operation not in (*known, ANY_OPERATION):
        raise HTTPException(422, f"There is no operation {body.operation!r}. Use * or one of {', '.join(known)}.")
    fake.trouble(body.operation, body.trouble, times=body.times)
    return {"troubles": fake.troubles.pending()}


@router.delete("/troubles")
async def clear_troubles(fake: Fake) -> dict[str, Any]:
    """Remove all trouble."""
    fake.troubles.clear()
    return {"troubles": {}}


@router.post("/scripts")
async def add_script(fake: Fake, body: AddScript) -> dict[str, Any]:
    """Script the next runs that are created or resumed."""
    fake.script(body.script, times=body.times)
    return {"script": body.script.model_dump(exclude_unset=True), "times": body.times}


@router.put("/runs/{agent_run_id}")
async def set_plan(fake: Fake, agent_run_id: int, script: Script) -> dict[str, Any]:
    """Script one run."""
    if agent_run_id not in fake.runs:
        raise HTTPException(404, "Agent run not found.")
    fake.set_plan(agent_run_id, script)
    return fake.runs[agent_run_id].response(fake.clock.now()).model_dump()


@router.get("/creates")
async def list_creates(fake: Fake) -> dict[str, Any]:
    """List every create that took effect."""
    items = [
        {
            "agent_run_id": create.agent_run_id,
            "organization_id": create.organization_id,
            "at": timestamp(create.at),
            "body": create.body,
        }
        for create in fake.creates
    ]
    return {"creates": items}


@router.post("/clock")
async def move_clock(fake: Fake, body: MoveClock) -> dict[str, Any]:
    """Move the clock forward."""
    fake.clock.advance(body.advance)
    return {"now": timestamp(fake.clock.now())}


@router.put("/settings")
async def change_settings(fake: Fake, settings: Settings, request: Request) -> dict[str, Any]:
    """Change pace and limits."""
    if settings.pace is not None:
        fake.pace = settings.pace
    if settings.rate_limits is not None:
        fake.limiter.limits = LIMITS if settings.rate_limits else {}
    if settings.retry_after is not None:
        fake.limiter.retry_after = settings.retry_after
    return await show(fake, request)


@router.post("/reset")
async def reset(fake: Fake, request: Request) -> dict[str, Any]:
    """Return to the initial state. Clock, pace and limits stay as they are."""
    fake.reset()
    return await show(fake, request)


def _operations(request: Request) -> list[str]:
    operations: list[str] = request.app.state.operations
    return operations
