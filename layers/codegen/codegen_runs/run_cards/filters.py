"""Which runs a list is asked for. The upstream filters by source alone; the rest is decided here, run by run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from codegen_api import AgentRun
from codegen_runs import statuses
from codegen_runs.problems import Unprocessable
from codegen_runs.run_cards.cards import repository, status_of
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

Repos = Mapping[int, str]


@dataclass(frozen=True)
class Filters:
    """What a run has to be for a list to show it. None leaves out a condition."""

    statuses: frozenset[Status] | None = None
    created_after: datetime | None = None
    """The earliest moment, included."""
    created_before: datetime | None = None
    """The moment before which a run was created, not included."""
    repo: str | None = None
    """A repository's id, name or `owner/name`."""
    source_type: str | None = None
    tag: str | None = None
    starred: bool | None = None
    words: tuple[str, ...] = ()
    """All of them have to occur."""

    @classmethod
    def of(
        cls,
        *,
        status: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        repo: str | None = None,
        source_type: str | None = None,
        tag: str | None = None,
        starred: bool | None = None,
        text: str | None = None,
    ) -> Filters:
        """Read filters as callers write them; `status` may be several, with commas. Raises `Unprocessable`."""
        return cls(
            statuses=parse_statuses(status) if status else None,
            created_after=_aware(created_after),
            created_before=_aware(created_before),
            repo=repo.casefold() if repo else None,
            source_type=source_type.upper() if source_type else None,
            tag=tag.casefold() if tag else None,
            starred=starred,
            words=tuple((text or "").casefold().split()),
        )

    @property
    def scan(self) -> bool:
        """Whether runs have to be looked at to know which ones are meant."""
        return self != Filters(source_type=self.source_type)

    @property
    def needs_record(self) -> bool:
        """Whether what is known here of a run may decide."""
        return bool(self.statuses or self.repo or self.words)

    def past(self, created: datetime | None) -> bool:
        """Tell whether all that was created before a moment is too old."""
        return self.created_after is not None and created is not None and created < self.created_after

    def admits_source(self, source_type: str) -> bool:
        """Tell whether runs of a source are meant."""
        return self.source_type in (None, source_type)

    def admits(self, run: AgentRun, starred: frozenset[int]) -> bool:
        """Tell whether the upstream's word on a run, and the stars, leave it in question."""
        return (
            self._admits_moment(run.created)
            and (self.starred is None or self.starred == (run.id in starred))
            and (self.tag is None or self.tag in tags(run.metadata))
        )

    def admits_record(self, run: AgentRun, watch: Watch | None, repos: Repos) -> bool:
        """Tell whether a run is meant that `admits` left in question."""
        return (
            (self.statuses is None or status_of(run.status, watch) in self.statuses)
            and self._admits_repo(repository(run, watch, repos), watch)
            and self._admits_text([run.summary, run.result, *_titles(run)], run.metadata, watch)
        )

    def admits_unlaunched(self, watch: Watch, repos: Repos) -> bool:
        """Tell whether a run is meant that the upstream does not know."""
        metadata = watch.launch.metadata if watch.launch else {}
        return (
            self._admits_moment(datetime.fromtimestamp(watch.created_at / 1000, UTC))
            and self.admits_source("API")
            and self.starred is not True
            and (self.tag is None or self.tag in tags(metadata))
            and (self.statuses is None or watch.status in self.statuses)
            and self._admits_repo(repository(None, watch, repos), watch)
            and self._admits_text([], metadata, watch)
        )

    def _admits_moment(self, created: datetime | None) -> bool:
        if self.created_after is None and self.created_before is None:
            return True
        return (
            created is not None
            and (self.created_after is None or self.created_after <= created)
            and (self.created_before is None or created < self.created_before)
        )

    def _admits_repo(self, name: str | None, watch: Watch | None) -> bool:
        if self.repo is None:
            return True
        names = {name.casefold(), name.casefold().rpartition("/")[2]} if name else set()
        return self.repo in names or (watch is not None and self.repo == str(watch.repo_id))

    def _admits_text(self, texts: list[str | None], metadata: Any, watch: Watch | None) -> bool:
        if not self.words:
            return True
        told = [prompt.text for prompt in watch.prompts] if watch else []
        text = "\n".join([*(text for text in texts if text), *told, *_strings(metadata)]).casefold()
        return all(word in text for word in self.words)


def parse_statuses(words: str) -> frozenset[Status]:
    """Read statuses, in our words or the upstream's, in any case. Raises `Unprocessable`, which names ours."""
    found = set()
    for word in words.split(","):
        status = _status(word.strip())
        if status is None:
            allowed = ", ".join(Status)
            fault = {"loc": ["query", "status"], "msg": f"Input should be one or more of {allowed}", "type": "enum"}
            raise Unprocessable(errors=[fault])
        found.add(status)
    return frozenset(found)


def tags(metadata: Mapping[str, Any] | None) -> set[str]:
    """Collect the tags of a run: what its metadata holds under `tags` or `tag`, one or a list."""
    values = [(metadata or {}).get(name) for name in ("tags", "tag")]
    found = [tag for value in values for tag in (value if isinstance(value, list) else [value])]
    return {tag.casefold() for tag in found if isinstance(tag, str)}


def _status(word: str) -> Status | None:
    try:
        return Status(word.lower())
    except ValueError:
        status = statuses.from_upstream(word)
        return None if status is Status.UNKNOWN else status


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _titles(run: AgentRun) -> list[str | None]:
    return [pull_request.title for pull_request in run.github_pull_requests or []]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for name, each in value.items() for text in (str(name), *_strings(each))]
    if isinstance(value, list):
        return [text for each in value for text in _strings(each)]
    return []
