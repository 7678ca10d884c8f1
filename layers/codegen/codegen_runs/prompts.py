"""The prompts of a run, in order, with the sender and the source of each.

The upstream does not return the prompts of a run, so only the prompts that were sent through this deployment are
recorded. They are stored in the watch, and a DynamoDB item has at most 400 KB. Therefore all prompts of a run together
have a limit, and older prompts are shortened to make room for newer ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from codegen_runs.redaction import redact

# For a launched run: the most characters of all its prompts, the characters of a shortened prompt, the most prompts.
MAX_KEPT = 30_000
MAX_SHORTENED = 300
MOST_KEPT = 50

Source = Mapping[str, str | int]
"""The origin of a prompt, such as `{"agent_id": "reviewer", "agent_version": 3}`. A few short entries."""


class Prompt(BaseModel):
    """One prompt of a run."""

    model_config = ConfigDict(frozen=True)

    number: int = 1
    """The number of the prompt among those sent through this deployment, from 1. Removed prompts leave a gap."""
    turn: int = 1
    """The turn of the run. A turn may have several prompts, because a running agent can get more of them."""
    text: str
    truncated: bool = False
    """Whether the text is only the beginning of the prompt."""
    at: int
    """When it was sent or queued, in epoch milliseconds."""
    by: str | None = None
    """The caller's id."""
    follow_up: bool = False
    """Whether the run existed before the prompt. This is true for all prompts of a run that was started elsewhere."""
    model: str | None = None
    """The requested model; None for the model of the run or of the organization."""
    source: dict[str, str | int] = {}


def kept(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Return the prompts within the limits, and without what looks like a secret: it is masked before they are cut.

    The first prompt says what the run is for, and the newest what it does now, so these two are shortened last. If
    there are too many prompts, those after the first are removed. If they are too long, the oldest are shortened.
    """
    prompts = [prompt.model_copy(update={"text": redact(prompt.text)}) for prompt in prompts]
    if len(prompts) > MOST_KEPT:
        prompts = [prompts[0], *prompts[len(prompts) - MOST_KEPT + 1 :]]
    lengths = [min(len(prompt.text), MAX_SHORTENED) for prompt in prompts]
    spare = MAX_KEPT - sum(lengths)
    by_importance = sorted(range(len(prompts)), key=lambda index: (index not in (0, len(prompts) - 1), -index))
    for index in by_importance:
        more = min(len(prompts[index].text) - lengths[index], spare)
        lengths[index] += more
        spare -= more
    return tuple(_shortened(prompt, length) for prompt, length in zip(prompts, lengths, strict=True))


def following(prompts: Sequence[Prompt], prompt: Prompt) -> tuple[Prompt, ...]:
    """Return the prompts with one more, which gets the next number, within the limits."""
    number = prompts[-1].number + 1 if prompts else 1
    return kept([*prompts, prompt.model_copy(update={"number": number})])


def _shortened(prompt: Prompt, length: int) -> Prompt:
    if length >= len(prompt.text):
        return prompt
    return prompt.model_copy(update={"text": prompt.text[:length], "truncated": True})
