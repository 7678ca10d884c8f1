"""The control surface under `/_fake`: no part of the upstream's API, without a token, for loopback only.

GET    /_fake             what there is to script, and what happened so far
GET    /_fake/help        this page, every trouble and every word of a script
POST   /_fake/troubles    {"operation": "create_agent_run", "trouble": {"kind": "error", "status": 402}, "times": 2}
DELETE /_fake/troubles    let everything through again
POST   /_fake/scripts     {"script": {"ending": "FAILED"}, "times": 1}: how the next created runs go
PUT    /_fake/runs/{id}   {"ending": "TIMEOUT", "seconds": 5}: how this run goes, from its last turn's start
GET    /_fake/creates     every create that took effect, with the body as sent
POST   /_fake/clock       {"advance": 60}: jump ahead by so many seconds
PUT    /_fake/settings    {"pace": 0.1, "rate_limits": false, "retry_after": false}
POST   /_fake/reset       begin anew
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


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AddTrouble(_Order):
    """Which calls meet what; `times: null` means every call until cleared."""

    operation: str
    trouble: Trouble
    times: int | None = Field(1, ge=1)


class AddScript(_Order):
    """How the next created runs go."""

    script: Script
    times: int = Field(1, ge=1)


class MoveClock(_Order):
    """How far to jump ahead, in seconds."""

    advance: NonNegativeFloat


class Settings(_Order):
    """What to change; what is left out stays."""

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
    """Explain the control surface, troubles and scripts."""
    words = Script.model_json_schema()["properties"]
    script = "\n".join(f"* `{word}`: {' '.join(about['description'].split())}" for word, about in words.items())
    pages = (__doc__, inspect.getdoc(Trouble), plans.__doc__, script)
    return "\n\n".join(str(page).strip() for page in pages) + "\n"


@router.post("/troubles")
async def add_trouble(fake: Fake, order: AddTrouble, request: Request) -> dict[str, Any]:
    """Script what the next calls of an operation meet."""
    known = _operations(request)
    if order.operation not in (*known, ANY_OPERATION):
        raise HTTPException(422, f"no operation {order.operation!r}; there are * and {', '.join(known)}")
    fake.trouble(order.operation, order.trouble, times=order.times)
    return {"troubles": fake.troubles.pending()}


@router.delete("/troubles")
async def clear_troubles(fake: Fake) -> dict[str, Any]:
    """Let everything through again."""
    fake.troubles.clear()
    return {"troubles": {}}


@router.post("/scripts")
async def add_script(fake: Fake, order: AddScript) -> dict[str, Any]:
    """Script how the next created runs go."""
    fake.script(order.script, times=order.times)
    return {"script": order.script.model_dump(exclude_unset=True), "times": order.times}


@router.put("/runs/{agent_run_id}")
async def set_plan(fake: Fake, agent_run_id: int, script: Script) -> dict[str, Any]:
    """Script how one run goes."""
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
async def move_clock(fake: Fake, order: MoveClock) -> dict[str, Any]:
    """Jump ahead."""
    fake.clock.advance(order.advance)
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
    """Begin anew; clock, pace and limits stay."""
    fake.reset()
    return await show(fake, request)


def _operations(request: Request) -> list[str]:
    operations: list[str] = request.app.state.operations
    return operations
