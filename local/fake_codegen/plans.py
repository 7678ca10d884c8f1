"""Plans: what a run will write and when, made from a prompt and a script, and always the same for the same run.

A **script** changes how a turn goes. It comes from a test, from the control surface, or from the request itself, so
that you can try one with curl alone:

* `"metadata": {"fake": {"ending": "FAILED"}}` in a create request;
* a marker anywhere in a prompt: `[[fake ending=FAILED seconds=3]]` for a task, `[[fake-judge result=B]]` for a prompt
  that asks for a ranking, `[[fake-synthesis ending=ERROR]]` for another prompt that carries candidates. They differ
  because a judge and a synthesis usually get the prompt of the candidates, whose marker must not apply to them. Values
  may be quoted: `result="I do not know"`.
"""

from __future__ import annotations

import random
import re
import shlex
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from . import answers
from .runs import CANCELLED, Entry, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

NEVER = "NEVER"

_MARKER = re.compile(r"\[\[fake(-synthesis|-judge)?\s+([^\]]+)\]\]")
_CHANGES_CODE = re.compile(
    r"\b(add|build|change|create|fix|implement|migrate|pull request|refactor|remove|rename|update|upgrade|write)\b",
    re.IGNORECASE,
)


class Script(BaseModel):
    """How a turn goes. Fields that are left out follow from the prompt and the run's id."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    ending: str = "COMPLETE"
    """The last status: FAILED, ERROR, TIMEOUT, MAX_ITERATIONS_REACHED, OUT_OF_TOKENS, PAUSED, any other word, or NEVER
    for a run that stays ACTIVE."""
    via: str | None = None
    """The status during the second half of the turn, for instance EVALUATION or an unknown word."""
    seconds: Annotated[float, Field(ge=0)] | None = None
    """How long the turn takes at pace 1."""
    steps: Annotated[int, Field(ge=0, le=5000)] | None = None
    """The number of actions in the log."""
    logs: Literal["steady", "late", "very_late", "rewritten", "shrunk"] = "steady"
    """`late`: each output arrives before the next entry. `very_late`: after the next entry. `rewritten`: the first
    half of the log changes during the turn. `shrunk`: the last two entries disappear, and later ones take their
    positions."""
    result: str | None = None
    """The result, which may be empty."""
    pull_request: bool | None = None
    """Whether the run opens a pull request."""
    pull_request_id: int | None = None
    """An existing pull request that the run works on."""
    nth: Annotated[int, Field(ge=1)] | None = None
    """Apply only to the n-th run that carries exactly this script ..."""
    of: Annotated[int, Field(ge=1)] | None = None
    """... in each group of this many: `nth=2 of=3` applies to the 2nd, the 5th and the 8th."""

    def applies_to(self, count: int) -> bool:
        """Tell whether the script applies to the `count`-th run (from 1) that carries it."""
        if self.nth is None:
            return True
        return (count - 1) % self.of + 1 == self.nth if self.of else count == self.nth


@dataclass
class Scripts:
    """The scripts of future turns: those that requests carry, and a queue for requests that carry none."""

    _queue: deque[Script] = field(default_factory=deque)
    _carried: Counter[Script] = field(default_factory=Counter)

    def add(self, script: Script, times: int = 1) -> None:
        """Queue a script for the next `times` turns whose requests carry none."""
        self._queue.extend([script] * times)

    def next(self, prompt: str, metadata: dict[str, Any] | None) -> Script:
        """Take the script of a new turn.

        Raises:
            pydantic.ValidationError: the request carries an invalid script.
        """
        carried = _carried_script(prompt, metadata)
        if carried is None:
            return self._queue.popleft() if self._queue else Script()
        self._carried[carried] += 1
        return carried if carried.applies_to(self._carried[carried]) else Script()


def _carried_script(prompt: str, metadata: dict[str, Any] | None) -> Script | None:
    if metadata and isinstance(metadata.get("fake"), dict):
        return Script.model_validate(metadata["fake"])
    form = answers.form(prompt)
    carries = form is not None or bool(answers.candidates(prompt))
    reads = "-judge" if form == "ranking" else "-synthesis" if carries else None
    for marker in _MARKER.finditer(prompt):
        if marker[1] == reads:
            return Script.model_validate(dict(word.partition("=")[::2] for word in shlex.split(marker[2])))
    return None


def without_marker(prompt: str) -> str:
    """Return a prompt without the markers in it, or as it is if it holds nothing else."""
    return _MARKER.sub("", prompt).strip() or prompt


@dataclass(frozen=True)
class Task:
    """The turn that a plan is made for."""

    prompt: str
    run_id: int
    turn: int
    model: str
    agent_type: str
    result: str | None = None
    """The result. None: made from the prompt."""


def make_plan(task: Task, script: Script, *, pace: float = 1.0) -> Plan:
    """Make the plan of a turn. `pace` multiplies its duration; 0 ends it at once."""
    rng = random.Random(f"{task.prompt}|{task.model}|{task.run_id}|{task.turn}")
    prompt = without_marker(task.prompt)
    joins = bool(answers.candidates(prompt))

    lasts = script.seconds if script.seconds is not None else rng.uniform(4, 6) if joins else rng.uniform(8, 12)
    lasts = round(lasts * pace, 6)
    opens_pull_request = script.pull_request
    if opens_pull_request is None:
        opens_pull_request = not joins and bool(_CHANGES_CODE.search(prompt)) and rng.random() < 0.7
    well = script.ending in ("COMPLETE", NEVER)
    result = script.result if script.result is not None else task.result
    if result is None:
        result = answers.answer(prompt, run_id=task.run_id, model=task.model)

    steps = script.steps if script.steps is not None else rng.randint(1, 2) if joins else rng.randint(3, 5)
    logs = list(_actions(prompt, steps, task.agent_type, rng))
    logs.insert((len(logs) + 1) // 2, _evaluation(prompt, joins=joins))
    if opens_pull_request and well:
        logs.append(_action("create_pr", {"title": answers.topic(prompt)}, {"state": "open"}, "The change is ready."))
    # The prompt is logged at once; the other entries are spread over the turn, the last one just before its end.
    times = [lasts * (number + 1) / (len(logs) + 1) for number in range(len(logs))]
    entries = [Entry(0, _user_message(task.prompt))]
    entries += [Entry(at, log) for at, log in zip(times, logs, strict=True)]
    entries = _disturb(entries, script.logs, lasts)
    if script.ending == "COMPLETE":
        entries.append(Entry(lasts, {"message_type": "FINAL_ANSWER", "observation": result}))
    elif script.ending not in (NEVER, CANCELLED, "PAUSED"):
        entries.append(Entry(lasts, _error(script.ending)))

    return Plan(
        entries=tuple(entries),
        statuses=((lasts / 2, script.via),) if script.via else (),
        ends_at=inf if script.ending == NEVER else lasts,
        ending=script.ending,
        result=result if well else script.result,
        summary=f"{'Joined the candidates' if joins else 'Worked on'}: {answers.topic(prompt)}" if well else None,
        pull_request_at=0 if script.pull_request_id else times[-1] if opens_pull_request and well else inf,
    )


def _disturb(entries: list[Entry], how: str, lasts: float) -> list[Entry]:
    """Return the entries with the kind of disturbance that a script asks for."""
    match how:
        case "late" | "very_late":
            reach = 0.5 if how == "late" else 1.5
            gap = lasts / len(entries)
            return [part for entry in entries for part in _filled_later(entry, entry.at + gap * reach)]
        case "rewritten":
            half = len(entries) // 2
            return [part for entry in entries[:half] for part in _rewritten(entry, lasts * 0.6)] + entries[half:]
        case "shrunk":
            there = [entry for entry in entries if entry.at < lasts * 0.6]
            going = there[max(1, len(there) - 2) :]
            return [replace(entry, until=lasts * 0.6) if entry in going else entry for entry in entries]
    return entries


def _filled_later(entry: Entry, at: float) -> Iterator[Entry]:
    if entry.log["message_type"] != "ACTION":
        yield entry
        return
    yield Entry(entry.at, {**entry.log, "tool_output": None}, until=at)
    yield Entry(at, entry.log, dated=entry.at)


def _rewritten(entry: Entry, at: float) -> Iterator[Entry]:
    yield replace(entry, until=at)
    yield Entry(at, {**entry.log, "thought": "I look at it again from the start."}, dated=entry.at)


# Log entries, with the fields that the upstream's documentation lists for each type


def _user_message(prompt: str) -> dict[str, Any]:
    return {
        "message_type": "USER_MESSAGE",
        "tool_name": "user_input",
        "tool_input": {"message": prompt},
        "tool_output": {},
    }


def _action(tool: str, given: dict[str, Any], output: dict[str, Any], thought: str) -> dict[str, Any]:
    return {
        "message_type": "ACTION",
        "tool_name": tool,
        "tool_input": given,
        "tool_output": output,
        "thought": thought,
    }


def _actions(prompt: str, count: int, agent_type: str, rng: random.Random) -> Iterator[dict[str, Any]]:
    words = [word for word in re.findall(r"[A-Za-z_]{4,}", prompt) if word.lower() not in ("fake", "with", "this")]
    word = rng.choice(words) if words else "main"
    path = f"src/{word.lower()}.py"
    look, search, edit, run = (
        ("Read", "Bash", "Edit", "Bash")
        if agent_type == "claude_code"
        else ("view_file", "ripgrep_search", "edit_file", "run_command")
    )
    cycle = (
        (search, {"query": word}, {"matches": rng.randint(1, 40)}, f"Where is {word} defined?"),
        (look, {"path": path}, {"lines": rng.randint(20, 400)}, f"{path} defines it. Read all of it."),
        (edit, {"path": path}, {"changed_lines": rng.randint(2, 30)}, "Make the smallest change that works."),
        (
            run,
            {"command": "pytest -q"},
            {"exit_code": 0, "stdout": f"{rng.randint(10, 90)} passed"},
            "Do the tests pass?",
        ),
        (look, {"path": "README.md"}, {"lines": rng.randint(20, 200)}, "Is the documentation still correct?"),
    )
    for number in range(count):
        yield _action(*cycle[number % len(cycle)])


def _evaluation(prompt: str, *, joins: bool) -> dict[str, Any]:
    thought = "Compare the candidates and keep what is correct." if joins else f"Goal: {answers.topic(prompt)}"
    return {"message_type": "PLAN_EVALUATION", "thought": thought}


def _error(ending: str) -> dict[str, Any]:
    return {"message_type": "ERROR", "observation": {"error": f"The run ended with {ending}.", "status": ending}}
