"""Which candidates the state machine launches when."""

from codegen_runs.multi_runs import waves
from codegen_runs.multi_runs.judging import judge
from codegen_runs.statuses import Status
from tests.unit.multi_runs.records import multi_run, watch_of


def test_a_state_machine_that_starts_launches_the_candidates_that_have_not_ended() -> None:
    record = multi_run()
    ends = [watch_of(record.candidate_key(0), Status.FAILED), watch_of(record.candidate_key(1), Status.RUNNING)]
    judgement = judge(record, {watch.key: watch for watch in ends})

    assert waves.first(judgement) == [1, 2]
