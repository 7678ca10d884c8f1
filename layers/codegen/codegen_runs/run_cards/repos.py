"""The names of an organization's repositories, which the upstream's runs do not contain."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice

from codegen_api import CodegenAPIError
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller

logger = logging.getLogger(__name__)

# Seconds for which a warm function remembers the names.
REMEMBERED = 300

# The most names that are read, 100 per call.
MOST = 1000

_remembered: dict[tuple[int, str], tuple[float, Mapping[int, str]]] = {}


def names(*, org_id: int, caller: Caller, backend: Backend) -> Mapping[int, str]:
    """Return the names, `owner/name`, of the repositories that the caller may see, by id. Raises `CodegenAPIError`."""
    now = backend.clock.now()
    read_at, found = _remembered.get((org_id, caller.id), (float("-inf"), {}))
    if now - read_at > REMEMBERED:
        found = {repo.id: repo.full_name for repo in islice(backend.codegen.repos.list(org_id=org_id), MOST)}
        _remembered[org_id, caller.id] = now, found
    return found


def forget() -> None:
    """Forget all names, so that the next card reads them again."""
    _remembered.clear()


def names_if_available(*, org_id: int, caller: Caller, backend: Backend) -> Mapping[int, str]:
    """Return the names as `names` does; the names that are remembered, however old, if the upstream fails."""
    try:
        return names(org_id=org_id, caller=caller, backend=backend)
    except CodegenAPIError:
        logger.warning("Could not read the names of the repositories.", exc_info=True)
        return _remembered.get((org_id, caller.id), (0, {}))[1]
