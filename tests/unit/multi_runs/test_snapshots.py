"""Which pull requests an answer stands for."""

import pytest

from codegen_runs.multi_runs.snapshots import snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Answer, AnswerSource
from codegen_runs.storage.runs import OpenedPullRequest
from tests.unit.multi_runs.records import multi_run, watch_of

URL = "https://github.com/works/shop/pull/31"
OPENED = OpenedPullRequest(id=5, number=31, title="Fix", url=URL, branch_name="fix")


@pytest.mark.parametrize(
    ("source", "candidate", "ids", "stands_for"),
    [
        (AnswerSource.SELECTED, 1, [5, 6], f"The work of candidate 2: {URL}, 6"),
        (AnswerSource.FALLBACK, 1, [5, 6], f"The work of candidate 2: {URL}, 6"),
        (AnswerSource.ONLY_CANDIDATE, 0, [], "No pull request: candidate 1 has none."),
        (AnswerSource.SELECTED, 2, [], "No pull request: candidate 3 has none."),
        (
            AnswerSource.SYNTHESIS,
            None,
            [],
            "No pull request: a further run wrote this answer from the candidates' answers.",
        ),
    ],
)
def test_an_answer_says_which_pull_requests_it_stands_for(
    source: AnswerSource, candidate: int | None, ids: list[int], stands_for: str
) -> None:
    answered = multi_run(answer=Answer(text="Done.", source=source, candidate=candidate))
    keys = answered.candidate_keys
    watches = {
        keys[0]: watch_of(keys[0], Status.COMPLETED, "Done."),
        keys[1]: watch_of(keys[1], Status.COMPLETED, "Done.", pull_requests=(5, 6), opened=(OPENED,)),
    }

    shown = snapshot(answered, watches, now=0)

    assert shown.answer is not None
    assert [each.id for each in shown.answer.pull_requests] == ids
    assert shown.answer.stands_for == stands_for
    assert [[each.id for each in each_.pull_requests] for each_ in shown.candidates] == [[], [5, 6], []]
    assert [each.branch_name for each in shown.candidates] == [None, "fix", None]


def test_a_waiting_candidate_links_to_its_run_by_key_and_a_missing_one_to_none() -> None:
    waiting = multi_run()
    key = waiting.candidate_key(0)
    shown = snapshot(waiting, {key: watch_of(key, Status.QUEUED)}, now=0)

    assert [each.link for each in shown.candidates] == [f"/v1/organizations/123/agent/run/{key}", None, None]
