"""The candidates that a request asks for, with all their options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Protocol

from codegen_api import Harness
from codegen_runs.agents import profiles
from codegen_runs.backend import Backend
from codegen_runs.multi_runs.parameters import VariantOptions
from codegen_runs.storage.agents import AgentProfile
from codegen_runs.storage.multi_runs import Variant


class Defaults(Protocol):
    """The options of candidates whose variant leaves them out: those of a request, or of a multi-run."""

    @property
    def model(self) -> str | None: ...  # noqa: D102
    @property
    def agent_type(self) -> Harness | None: ...  # noqa: D102
    @property
    def repo_id(self) -> int | None: ...  # noqa: D102
    @property
    def agent_id(self) -> str | None: ...  # noqa: D102
    @property
    def system_prompt(self) -> str | None: ...  # noqa: D102


def complete(variants: Sequence[VariantOptions], defaults: Defaults, *, org_id: int, backend: Backend) -> list[Variant]:
    """Return each variant with all its options.

    What a variant leaves out comes from its agent, then from the defaults, then from their agent. Agents are taken in
    their current version. Raises `AgentNotFound`, `StorageUnavailable`.
    """
    named = {each.agent_id for each in (defaults, *variants) if each.agent_id is not None}
    agents = {agent_id: profiles.get(agent_id, org_id=org_id, backend=backend) for agent_id in sorted(named)}
    return [_complete(variant, defaults, agents) for variant in variants]


def dealt(variants: Sequence[Variant], copies: int) -> list[Variant]:
    """Return the candidates, one of each variant in turn, so that the first ones differ."""
    return [variant for _ in range(copies) for variant in variants]


def second_wave(variants: Sequence[Variant], count: int) -> list[Variant]:
    """Return so many candidates of the second wave, one of each variant in turn."""
    return [each.model_copy(update={"second_wave": True}) for each in islice(cycle(variants), count)]


def identical(variants: Sequence[Variant]) -> list[list[int]]:
    """Return the groups of variants that have the same options, by their places in the request."""
    groups = defaultdict(list)
    for place, variant in enumerate(variants):
        groups[variant.model_dump_json()].append(place)
    return [group for group in groups.values() if len(group) > 1]


def _complete(variant: VariantOptions, defaults: Defaults, agents: dict[str, AgentProfile]) -> Variant:
    own = agents.get(variant.agent_id or "")
    shared = agents.get(defaults.agent_id or "")
    agent = own or shared
    in_turn: tuple[VariantOptions | Defaults | AgentProfile, ...] = tuple(
        each for each in (variant, own, defaults, shared) if each
    )
    return Variant(
        prompt=variant.prompt,
        model=next((each.model for each in in_turn if each.model), None),
        agent_type=variant.agent_type or defaults.agent_type,
        repo_id=next((each.repo_id for each in in_turn if each.repo_id is not None), None),
        agent_id=agent and agent.id,
        agent_version=agent and agent.version,
        system_prompt=variant.system_prompt or (None if own else defaults.system_prompt),
    )
