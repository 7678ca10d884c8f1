"""What a run was told: its prompts, in order, with who sent each and where it came from.

The upstream tells no prompt of a run, so this record is all there is of those that went through here. It lies in the
watch, whose DynamoDB item may have 400 KB: all prompts together are kept within a limit, the newest at the cost of the
older ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

# Characters of all prompts of a run that has been launched, of an older one that gives way, and how many there are.
MAX_KEPT = 30_000
MAX_SHORTENED = 300
MOST_KEPT = 50

Source = Mapping[str, str | int]
"""Where a prompt comes from, such as `{"agent_id": "reviewer", "agent_version": 3}`. A few short entries."""


class Prompt(BaseModel):
    """One prompt of a run."""

    model_config = ConfigDict(frozen=True)

    number: int = 1
    """Counts the prompts of the run that went through here, from 1; a gap is where prompts are no longer kept."""
    turn: int = 1
    """The run's turn that it belongs to. A run may be told more while it works, so a turn may have several."""
    text: str
    truncated: bool = False
    """Whether the text is only the beginning of what was sent."""
    at: int
    """When it was sent, or queued to be sent, in epoch milliseconds."""
    by: str | None = None
    """The caller's id."""
    follow_up: bool = False
    """Whether the run existed already. Of a run that was started elsewhere, every prompt here is one."""
    model: str | None = None
    """The model that was asked for; None for the run's, or the organization's."""
    source: dict[str, str | int] = {}


def kept(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Bring prompts within the limits.

    The first one says what the run is for, and the newest what it does now: these two go last. Where there are too many
    prompts, those that follow the first are dropped; where they are too long, the oldest are shortened.
    """
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
    """Add a prompt, with the next number, and keep to the limits."""
    number = prompts[-1].number + 1 if prompts else 1
    return kept([*prompts, prompt.model_copy(update={"number": number})])


def _shortened(prompt: Prompt, length: int) -> Prompt:
    if length >= len(prompt.text):
        return prompt
    return prompt.model_copy(update={"text": prompt.text[:length], "truncated": True})
