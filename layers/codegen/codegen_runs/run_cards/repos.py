"""The names of an organization's repositories, which runs do not carry."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice

from codegen_api import CodegenAPIError
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller

logger = logging.getLogger(__name__)

# Seconds that names are remembered while the function is warm.
REMEMBERED = 300

# 100 come with one call.
MOST = 1000

_remembered: dict[tuple[int, str], tuple[float, Mapping[int, str]]] = {}


def names(*, org_id: int, caller: Caller, backend: Backend) -> Mapping[int, str]:
    """Return `owner/name` by id, as the caller may see them. Raises `CodegenAPIError`."""
    now = backend.clock.now()
    read_at, known = _remembered.get((org_id, caller.id), (float("-inf"), {}))
    if now - read_at > REMEMBERED:
        known = {repo.id: repo.full_name for repo in islice(backend.codegen.repos.iter(org_id=org_id), MOST)}
        _remembered[org_id, caller.id] = now, known
    return known


def forget() -> None:
    """Forget all names, so that the next card reads them again."""
    _remembered.clear()


def names_if_told(*, org_id: int, caller: Caller, backend: Backend) -> Mapping[int, str]:
    """Return the names, or none where the upstream does not tell them now."""
    try:
        return names(org_id=org_id, caller=caller, backend=backend)
    except CodegenAPIError:
        logger.warning("The names of the repositories could not be read.", exc_info=True)
        return {}
