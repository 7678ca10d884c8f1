"""GET /v1/organizations/{org_id}/run-cards - list, filter and search the runs of an organization."""

from datetime import datetime
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import StringConstraints

from codegen_runs import forms
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.run_cards.cards import SOURCE_TYPE, STARRED
from codegen_runs.run_cards.filters import Filters
from codegen_runs.run_cards.listing import Listing, RunCardPage, RunCardRange

app = APIGatewayRestResolver(enable_validation=True)

Number = Annotated[int, Query(ge=1, le=1_000_000, description="The page, counted from 1.")]
Offset = Annotated[int, Query(ge=0, le=forms.LARGEST_OFFSET, description="How many runs to skip.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many runs to return at most.")]
Status = Annotated[
    list[Annotated[str, StringConstraints(pattern=forms.STATUSES)]] | None,
    Query(description="One or more statuses, separated by commas or as several parameters."),
]
CreatedAfter = Annotated[
    datetime | None, Query(description="Runs created at this time or later. A time without a zone is in UTC.")
]
CreatedBefore = Annotated[
    datetime | None, Query(description="Runs created before this time. A time without a zone is in UTC.")
]
Repo = Annotated[
    str | None, Query(max_length=forms.LONGEST_FILTER, description="The id, name or owner/name of a repository.")
]
SourceType = Annotated[str | None, Query(pattern=forms.SOURCE_TYPE, description=SOURCE_TYPE)]
Tag = Annotated[
    str | None,
    Query(
        max_length=forms.LONGEST_FILTER,
        description="A tag in the run's metadata, under `tags` or `tag`, in upper or lower case.",
    ),
]
Starred = Annotated[bool | None, Query(description=STARRED)]
Words = Annotated[
    str | None,
    Query(
        max_length=forms.LONGEST_FILTER,
        description=(
            "Words that all occur in the run's prompts, summary, result, metadata or the titles of its pull requests. "
            "Upper and lower case are the same, and so are different encodings of the same character."
        ),
    ),
]
Children = Annotated[
    bool, Query(description="Whether to list the runs of multi-runs instead of one card for each multi-run.")
]


@app.get("/v1/organizations/<org_id>/run-cards", tags=["Run cards"], summary="List run cards")
@app.get("/agent_runs", include_in_schema=False)
def list_run_cards(
    org_id: Organization,
    caller: CurrentCaller,
    backend: Backend,
    page: Number = 1,
    limit: Limit = 20,
    status: Status = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    repo: Repo = None,
    source_type: SourceType = None,
    tag: Tag = None,
    starred: Starred = None,
    q: Words = None,
    children: Children = False,
) -> RunCardPage:
    """List the runs of an organization, newest first, wherever they were started. Pages contain only matching runs.

    A multi-run is one card, at the place of its newest run that matches.
    """
    filters = Filters.of(
        status=status or (),
        created_after=created_after,
        created_before=created_before,
        repo=repo,
        source_type=source_type,
        tag=tag,
        starred=starred,
        text=q,
    )
    listing = Listing(filters, org_id=org_id, caller=caller, backend=backend, children=children)
    return listing.page(page, limit)


@app.get("/api/runs", include_in_schema=False)
def list_range_of_run_cards(
    org_id: Organization,
    caller: CurrentCaller,
    backend: Backend,
    offset: Offset = 0,
    limit: Limit = 20,
    status: Status = None,
    children: Children = False,
) -> RunCardRange:
    """List the runs by offset instead of page."""
    filters = Filters.of(status=status or ())
    listing = Listing(filters, org_id=org_id, caller=caller, backend=backend, children=children)
    return listing.range(offset, limit)


handler = endpoint(app)
