"""The caller and the run of these tests, and what the tests read of the run."""

from collections.abc import Callable
from typing import Any

from codegen_runs.callers import Caller
from codegen_runs.storage.runs import Watch
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from tests.support.events import Answer
from tests.support.memory import MemoryRuns

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({123, 124}), token=DEMO_TOKEN)
KEY = "mr-1-0"
TOKEN = "a-task-token"

# Events that are not about the control of a run.
QUIET = ("run.log", "checkpoint.created")

Act = Callable[..., Answer]


def stored(runs: MemoryRuns, key: str = KEY) -> Watch:
    watch = runs.get(DEMO_ORG_ID, key)
    assert watch is not None
    return watch


def history(runs: MemoryRuns, key: str = KEY) -> list[str]:
    return [event.type for event in runs.events(DEMO_ORG_ID, key, limit=1000) if event.type not in QUIET]


def offers(answer: Any) -> dict[str, bool]:
    """Return whether each action of a card or snapshot is allowed."""
    return {each["action"]: each["enabled"] for each in answer["allowed_actions"]}
