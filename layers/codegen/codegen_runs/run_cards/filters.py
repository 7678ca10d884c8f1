"""Filters of a list of runs. The upstream filters by source only; all other conditions are checked here, run by run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from codegen_api import AgentRun
from codegen_runs import statuses
from codegen_runs.problems import Unprocessable
from codegen_runs.run_cards.cards import repository, status_of
from codegen_runs.searching import folded, words
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

Repos = Mapping[int, str]


@dataclass(frozen=True)
class Filters:
    """The conditions that a run must meet. A condition that is None always holds."""

    statuses: frozenset[Status] | None = None
    created_after: datetime | None = None
    """The earliest time of creation, inclusive."""
    created_before: datetime | None = None
    """The latest time of creation, exclusive."""
    repo: str | None = None
    """A repository's id, name or `owner/name`."""
    source_type: str | None = None
    tag: str | None = None
    starred: bool | None = None
    words: tuple[str, ...] = ()
    """Words that must all occur."""

    @classmethod
    def of(
        cls,
        *,
        status: Sequence[str] = (),
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        repo: str | None = None,
        source_type: str | None = None,
        tag: str | None = None,
        starred: bool | None = None,
        text: str | None = None,
    ) -> Filters:
        """Read filters from query parameters; each `status` may be several, separated by commas.

        Raises `Unprocessable`.
        """
        return cls(
            statuses=parse_statuses(",".join(filter(None, status))) if any(status) else None,
            created_after=_aware(created_after),
            created_before=_aware(created_before),
            repo=folded(repo) if repo else None,
            source_type=source_type.upper() if source_type else None,
            tag=folded(tag) if tag else None,
            starred=starred,
            words=words(text or ""),
        )

    @property
    def scan(self) -> bool:
        """Whether runs must be read one by one to find the matching ones."""
        return self != Filters(source_type=self.source_type)

    @property
    def needs_record(self) -> bool:
        """Whether `admits_record` needs the watches of runs."""
        return bool(self.statuses or self.repo or self.words)

    def past(self, created: datetime | None) -> bool:
        """Return whether every run created at this time or earlier is too old to match."""
        return self.created_after is not None and created is not None and created < self.created_after

    def admits_source(self, source_type: str) -> bool:
        """Return whether runs of a source can match."""
        return self.source_type in (None, source_type)

    def admits(self, run: AgentRun, starred: frozenset[int]) -> bool:
        """Return whether a run can match, by the upstream's data and the stars alone."""
        return (
            self._admits_moment(run.created_at)
            and (self.starred is None or self.starred == (run.id in starred))
            and (self.tag is None or self.tag in tags(run.metadata))
        )

    def admits_record(self, run: AgentRun, watch: Watch | None, repos: Repos) -> bool:
        """Return whether a run that `admits` accepts also meets the conditions that need its watch."""
        return (
            (self.statuses is None or status_of(run.status, watch) in self.statuses)
            and self._admits_repo(repository(run, watch, repos), watch)
            and self._admits_text([run.summary, run.result, *_titles(run)], run.metadata, watch)
        )

    def admits_unlaunched(self, watch: Watch, repos: Repos) -> bool:
        """Return whether a run that the upstream does not know yet matches."""
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
        names = {folded(name), folded(name).rpartition("/")[2]} if name else set()
        return self.repo in names or (watch is not None and self.repo == str(watch.repo_id))

    def _admits_text(self, texts: list[str | None], metadata: Any, watch: Watch | None) -> bool:
        if not self.words:
            return True
        prompts = [prompt.text for prompt in watch.prompts] if watch and not watch.is_internal else []
        text = folded("\n".join([*(text for text in texts if text), *prompts, *_strings(metadata)]))
        return all(word in text for word in self.words)


def parse_statuses(text: str) -> frozenset[Status]:
    """Read statuses, ours or the upstream's, in any case. Raises `Unprocessable`, which lists ours."""
    parsed = set()
    for name in text.split(","):
        status = _status(name.strip())
        if status is None:
            allowed = ", ".join(Status)
            fault = {"loc": ["query", "status"], "msg": f"Input should be one or more of {allowed}", "type": "enum"}
            raise Unprocessable(errors=[fault])
        parsed.add(status)
    return frozenset(parsed)


def tags(metadata: Mapping[str, Any] | None) -> set[str]:
    """Return the tags of a run, folded. Its metadata has them under `tags` or `tag`, as a string or a list."""
    values = [(metadata or {}).get(name) for name in ("tags", "tag")]
    tags = [tag for value in values for tag in (value if isinstance(value, list) else [value])]
    return {folded(tag) for tag in tags if isinstance(tag, str)}


def _status(name: str) -> Status | None:
    try:
        return Status(name.lower())
    except ValueError:
        status = statuses.from_upstream(name)
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
