"""The audit trail of an organization: `api.audit`. Only a deployment has it, and only admins may read it."""

from datetime import date
from typing import TYPE_CHECKING

from .._core import Core
from .._deployment import require_deployment
from .._errors import InvalidResponseError
from .._flows import json_object, perform
from .._ids import Id
from .._pagination import PAGE_SIZE, Listing, by_cursor
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing
from ._dates import iso_8601

if TYPE_CHECKING:
    from .._audit_check import AuditCheck
    from .._deployment_models import AuditEntry, CursorPage

FEATURE = "an audit trail"


def list_(  # noqa: D417 - callers do not pass `core`
    core: Core,
    *,
    actor: str | None = None,
    act: str | None = None,
    target: str | None = None,
    since: date | str | None = None,
    until: date | str | None = None,
    limit: int = PAGE_SIZE,
    org_id: Id | None = None,
) -> "Listing[AuditEntry, CursorPage[AuditEntry]]":
    """List who did what, newest first. With a filter, pages may have few entries or none.

    Args:
        actor: Only what this caller did, such as `user:42`.
        act: Only this act, such as `run.cancel`.
        target: Only what was done to the thing with this id.
        since: Entries of this time or later.
        until: Entries before this time.
        limit: The size of a page.
        org_id: The organization. If None: the client's default.
    """
    from .._deployment_models import AuditEntry, CursorPage

    path, read = _path(core, org_id), CursorPage[AuditEntry].read
    wanted = {"actor": actor, "act": act, "target": target, "since": iso_8601(since), "until": iso_8601(until)}
    return by_cursor(
        FEATURE, lambda cursor: Call("GET", path, read, params={**wanted, "cursor": cursor, "limit": limit})
    )


def verify(core: Core, *, known: str | None = None, org_id: Id | None = None) -> "Flow[AuditCheck]":  # noqa: D417
    """Read the whole audit trail and check that no entry was changed, taken out or put in.

    Args:
        known: The `head` of an earlier check. An entry that was replaced since, with all after it, is found so only.
        org_id: The organization. If None: the client's default.
    """
    from .._audit_check import ChainReader, read_known

    path, reader = _path(core, org_id), ChainReader(read_known(known))
    yield from require_deployment(core, FEATURE)
    cursor = None
    while True:
        page = yield from perform(Call("GET", path, json_object, params={"cursor": cursor, "limit": PAGE_SIZE}))
        items, following = page.get("items"), page.get("next_cursor") if page.get("has_more") else None
        if not isinstance(items, list) or (following and (not items or following == cursor)):
            raise InvalidResponseError("the server returned a page of the audit trail that does not lead to its start")
        for entry in items:
            reader.take(entry if isinstance(entry, dict) else {})
        if not following:
            return reader.result()
        cursor = following


def _path(core: Core, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/audit"


class AuditResource(Resource):
    """The audit trail of an organization."""

    list = listing(list_)
    verify = blocking(verify)


class AsyncAuditResource(AsyncResource):
    """The audit trail of an organization."""

    list = async_listing(list_)
    verify = awaitable(verify)
