"""GET /v1/organizations/{org_id}/audit - list who did what in an organization."""

from datetime import datetime
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs import forms
from codegen_runs.audit import reading
from codegen_runs.audit.reading import Filters
from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, Organization
from codegen_runs.roles import Role
from codegen_runs.storage.audit import AuditEntry

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=100, description="How many entries to return at most.")]
Actor = Annotated[str | None, Query(max_length=forms.LONGEST_FILTER, description="The caller, such as `user:42`.")]
Name = Annotated[str | None, Query(max_length=forms.LONGEST_FILTER, description="The act, such as `run.cancel`.")]
Target = Annotated[str | None, Query(max_length=forms.LONGEST_FILTER, description="The id of what it was done to.")]
Since = Annotated[datetime | None, Query(description="Entries of this time or later; UTC if it has no offset.")]
Until = Annotated[datetime | None, Query(description="Entries before this time; UTC if it has no offset.")]


@app.get("/v1/organizations/<org_id>/audit", tags=["Organizations"], summary="List who did what")
def list_audit_entries(
    org_id: Organization,
    caller: CurrentCaller,
    backend: Backend,
    limit: Limit = 20,
    cursor: Cursor = None,
    actor: Actor = None,
    act: Name = None,
    target: Target = None,
    since: Since = None,
    until: Until = None,
) -> CursorPage[AuditEntry]:
    """List the entries of the audit trail, newest first. Admins only.

    A request reads up to 1000 entries, so a page can have fewer than `limit`, or none, while `has_more` is true.
    """
    filters = Filters(actor=actor, act=act, target=target, since=since, until=until)
    return reading.newest(filters, org_id=org_id, limit=limit, cursor=cursor, caller=caller, backend=backend)


# Masking would change entries, and so their hashes. They contain ids, numbers and fixed words only.
handler = endpoint(app, verbatim=True, role=Role.ADMIN)
