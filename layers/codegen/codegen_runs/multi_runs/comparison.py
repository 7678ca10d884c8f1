"""The candidates of a multi-run side by side: facts from their event logs, and how their answers relate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field

from codegen_api import Harness
from codegen_runs.backend import Backend
from codegen_runs.links import link_to_run
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.evidence.reading import gathered
from codegen_runs.multi_runs.judging import Candidate, judge
from codegen_runs.multi_runs.provenance import Provenance, measured
from codegen_runs.multi_runs.service import find, watches_of
from codegen_runs.multi_runs.similarity import Agreement, compared
from codegen_runs.redaction import redact
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus

# The most bytes of all evidence in one answer, and the lengths of lists that are tried until it fits. Lambda returns at
# most 6 MB.
MOST_BYTES = 3_000_000
LENGTHS = (200, 50, 15, 5, 1)

MOST_FILES = 200


class ComparedCandidate(BaseModel):
    """A candidate and the facts about its run."""

    index: int
    second_wave: bool = Field(
        False, description="Whether it started when all others had ended, from summaries of the best ones."
    )
    status: Status
    usable: bool | None = Field(None, description="Null until the candidate has ended.")
    reason: str | None = Field(None, description="Why the candidate is not usable.")
    model: str | None = None
    agent_type: Harness | None = None
    agent_run_id: int | None = None
    web_url: str | None = None
    link: str | None = Field(None, description="The path of the run in this API.")
    answer_characters: int | None = Field(None, description="The length of the answer; null if there is none.")
    evidence: Evidence | None = Field(None, description="Null until the run is queued.")
    rank: int | None = Field(None, description="From 1, the best. Null if the candidates were not ranked.")
    rank_reasons: list[str] | None = Field(None, description="Why, from its tests and as the judges put it.")


class FileOfOne(BaseModel):
    """A file that only one candidate changed."""

    path: str
    candidate: int


class ComparedFiles(BaseModel):
    """The changed files of the candidates. Those that changed no file do not count."""

    changed_by_all: list[str]
    changed_by_one: list[FileOfOne]
    candidates: list[int] = Field(description="The candidates that changed a file.")
    truncated: bool = Field(False, description=f"Whether a list has more than {MOST_FILES} files.")


class Comparison(BaseModel):
    """The candidates of a multi-run side by side."""

    multi_run_id: str
    status: MultiRunStatus
    candidates: list[ComparedCandidate]
    files: ComparedFiles
    agreement: Agreement | None = Field(
        None, description="How similar the usable answers are in their words. Null with fewer than two."
    )
    provenance: Provenance | None = Field(
        None, description="Where the words of the answer come from. Null until there is an answer."
    )


def compare(org_id: int, multi_run_id: str, *, backend: Backend) -> Comparison:
    """Compare the candidates of a multi-run. Raises `MultiRunNotFound`, `StorageUnavailable`."""
    multi_run = find(org_id, multi_run_id, backend=backend)
    watches = watches_of(multi_run, backend=backend)
    candidates = judge(multi_run, watches).candidates
    evidence = gathered([each.watch for each in candidates if each.watch], backend=backend)
    of_candidate = {each.index: evidence[each.watch.key] for each in candidates if each.watch}
    answers = {each.index: redact(each.result) for each in candidates if each.usable}
    answer = multi_run.current_answer
    return Comparison(
        multi_run_id=multi_run.id,
        status=multi_run.status,
        files=files({index: found.changed_files for index, found in of_candidate.items()}),
        candidates=[
            _compared(multi_run, candidate, found)
            for candidate, found in zip(candidates, _fitting(candidates, of_candidate), strict=True)
        ],
        agreement=compared(answers) if len(answers) > 1 else None,
        provenance=measured(redact(answer.text), answers, second_wave=multi_run.second_wave) if answer else None,
    )


def files(changed: Mapping[int, Sequence[str]]) -> ComparedFiles:
    """Return which files all candidates changed, and which only one.

    An absolute path is the same as a relative one with which it ends: agents run in folders of their own.
    """
    relative = {path for paths in changed.values() for path in paths if not path.startswith("/")}
    by_path: dict[str, set[int]] = {}
    for index, paths in sorted(changed.items()):
        for path in paths:
            by_path.setdefault(_relative(path, relative), set()).add(index)
    candidates = sorted(index for index, paths in changed.items() if paths)
    by_all = sorted(path for path, indexes in by_path.items() if len(indexes) == len(candidates) > 1)
    by_one = sorted((path, min(indexes)) for path, indexes in by_path.items() if len(indexes) == 1)
    return ComparedFiles(
        changed_by_all=by_all[:MOST_FILES],
        changed_by_one=[FileOfOne(path=path, candidate=index) for path, index in by_one[:MOST_FILES]],
        candidates=candidates,
        truncated=max(len(by_all), len(by_one)) > MOST_FILES,
    )


def _relative(path: str, known: set[str]) -> str:
    if not path.startswith("/"):
        return path
    names = path.strip("/").split("/")
    ends = ("/".join(names[start:]) for start in range(len(names)))
    return next((end for end in ends if end in known), path)


def _fitting(candidates: Sequence[Candidate], evidence: Mapping[int, Evidence]) -> list[Evidence | None]:
    """Return the evidence of each candidate, with lists so short that all of it fits into one answer."""
    shown = dict(evidence)
    for most in LENGTHS:
        shown = {index: found.shortened(most) for index, found in evidence.items()}
        if sum(len(json.dumps(found.model_dump(mode="json"))) for found in shown.values()) <= MOST_BYTES:
            break
    return [shown.get(candidate.index) for candidate in candidates]


def _compared(multi_run: MultiRun, candidate: Candidate, evidence: Evidence | None) -> ComparedCandidate:
    watch, variant = candidate.watch, multi_run.candidates[candidate.index]
    places = multi_run.ranking.candidates if multi_run.ranking else []
    ranked = next((each for each in places if each.candidate == candidate.index), None)
    return ComparedCandidate(
        index=candidate.index,
        second_wave=candidate.second_wave,
        status=watch.shown_status if watch else Status.QUEUED,
        usable=candidate.usable if candidate.finished else None,
        reason=candidate.reason,
        model=variant.model,
        agent_type=variant.agent_type,
        agent_run_id=watch.agent_run_id if watch else None,
        web_url=watch.web_url if watch else None,
        link=link_to_run(multi_run.org_id, watch.agent_run_id or watch.key) if watch else None,
        rank=ranked.rank if ranked else None,
        rank_reasons=ranked.reasons if ranked else None,
        answer_characters=len(watch.result) if watch and watch.result is not None else None,
        evidence=evidence,
    )
