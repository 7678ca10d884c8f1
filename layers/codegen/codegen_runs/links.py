"""Paths in answers, as the caller has to request them.

A stage, or the base path of a custom domain, precedes every path of the API. The edge finds it in each request
(`http.routing`), and every path that an answer names begins with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_base_path: ContextVar[str] = ContextVar("base_path", default="")


@contextmanager
def below(base_path: str) -> Iterator[None]:
    """Begin every path in answers with a base path, such as `/v0`, while the block runs."""
    before = _base_path.set(base_path)
    try:
        yield
    finally:
        _base_path.reset(before)


def link(path: str) -> str:
    """Return the path at which the caller can request a path of the API, such as `/v1/users/me`.

    A message of a WebSocket has no base path: its links begin with `/v1`.
    """
    return _base_path.get() + path


def link_to_run(org_id: int, agent_run_id: int | str | None) -> str:
    """Return the path at which the caller can request a run."""
    return link(f"/v1/organizations/{org_id}/agent/run/{agent_run_id}")
