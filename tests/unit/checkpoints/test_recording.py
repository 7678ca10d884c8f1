"""The rules of the recorder, on one write of a run: which checkpoints it creates, and what each holds."""

from typing import Any

import pytest

from codegen_api import AgentRunLogs
from codegen_runs.checkpoints.recorder import MILESTONES_PER_POLL, Recorder, continued, fitting, may_be_known
from codegen_runs.events import Writer
from codegen_runs.prompts import Prompt
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import Checkpoint, Head, Reason
from codegen_runs.storage.runs import Watch

NOW = 1_750_000_000.0
PLAN = {"message_type": "PLAN_EVALUATION"}
ACTION = {"message_type": "ACTION"}


def prompt(number: int, text: str = "Fix it.", **more: Any) -> Prompt:
    return Prompt(number=number, text=text, at=0, **more)


def watch(*prompts: Prompt, **changes: Any) -> Watch:
    defaults: dict[str, Any] = {
        "org_id": 123,
        "key": "7",
        "agent_run_id": 7,
        "status": Status.RUNNING,
        "prompts": prompts,
        "model": "model-of-the-run",
        "created_at": 0,
        "updated_at": 0,
        "deadline_at": 0,
    }
    return Watch(**defaults | changes)


def head(prompt: int = 0, turn: int = 1) -> Head:
    return Head(epoch=0, seq=1, hash="a-hash", turn=turn, prompt=prompt)


def begin(run: Watch) -> list[Checkpoint]:
    recorder = Recorder(run, Writer(run.position, run_id=7, now=NOW), now=NOW)
    recorder.begin()
    return recorder.made


def milestone(log: dict[str, Any]) -> Checkpoint:
    """Return the checkpoint of one log entry."""
    run = watch()
    writer = Writer(run.position, run_id=7, now=NOW)
    writer.add("run.log", {"position": 3, "log": log})
    recorder = Recorder(run, writer, now=NOW)
    recorder.milestones(writer.events)
    (checkpoint,) = recorder.made
    return checkpoint


def answer(*logs: dict[str, Any]) -> AgentRunLogs:
    entries = [{"agent_run_id": 7, "created_at": "2025-06-21 12:00:00", **log} for log in logs]
    return AgentRunLogs.model_validate({"id": 7, "organization_id": 123, "logs": entries})


@pytest.mark.parametrize(
    ("run", "reasons"),
    [
        (watch(), ["start"]),
        (watch(prompt(1)), ["start"]),
        (watch(prompt(1), checkpoint=head(prompt=1)), []),
        (watch(prompt(1), prompt(2), checkpoint=head(prompt=1)), ["follow_up"]),
        (watch(prompt(1), checkpoint=head(prompt=1), turn=2), ["follow_up"]),
    ],
    ids=["no prompt", "first prompt", "nothing new", "new prompt", "new turn without a prompt"],
)
def test_a_start_a_new_prompt_and_a_new_turn_have_a_checkpoint(run: Watch, reasons: list[str]) -> None:
    assert [checkpoint.reason for checkpoint in begin(run)] == reasons


def test_the_summary_of_a_start_is_the_first_prompt_and_that_of_a_follow_up_the_last() -> None:
    prompts = (prompt(1, "First."), prompt(2, "Second."))
    (start,) = begin(watch(*prompts))
    (follow_up,) = begin(watch(*prompts, checkpoint=head()))

    assert (start.summary, follow_up.summary) == ("First.", "Second.")
    assert start.prompts == follow_up.prompts == prompts


def test_a_checkpoint_has_the_agent_and_the_model_of_the_newest_prompt_that_names_one() -> None:
    prompts = (
        prompt(1, model="old", source={"agent_id": "writer", "agent_version": 1}),
        prompt(2, model="new", source={"agent_id": "reviewer", "agent_version": 3}),
        prompt(3, source={"checkpoint_id": "7.0-1"}),
    )
    (checkpoint,) = begin(watch(*prompts))
    (plain,) = begin(watch(prompt(1)))

    assert checkpoint.agent is not None
    assert (checkpoint.agent.id, checkpoint.agent.version, checkpoint.model) == ("reviewer", 3, "new")
    assert (plain.agent, plain.model) == (None, "model-of-the-run")


@pytest.mark.parametrize(
    ("log", "summary"),
    [
        (PLAN | {"thought": "I think.", "observation": "I see."}, "I think."),
        (PLAN | {"thought": "", "observation": "I see."}, "I see."),
        (PLAN | {"thought": {"text": "I think."}, "observation": "I see."}, "I see."),
        (PLAN | {"observation": {"text": "I see."}}, None),
    ],
)
def test_the_summary_of_a_milestone_is_its_thought_or_its_observation(log: dict[str, Any], summary: str | None) -> None:
    checkpoint = milestone(log)

    assert (checkpoint.reason, checkpoint.summary) == (Reason.PLAN, summary)


@pytest.mark.parametrize(
    ("logs", "known", "kept"),
    [
        ([PLAN] * MILESTONES_PER_POLL + [ACTION], 0, MILESTONES_PER_POLL + 1),
        ([PLAN] * (MILESTONES_PER_POLL + 1), 0, MILESTONES_PER_POLL),
        ([PLAN] * (MILESTONES_PER_POLL + 1), 1, MILESTONES_PER_POLL + 1),
        ([ACTION, *[PLAN] * MILESTONES_PER_POLL, ACTION, PLAN, ACTION], 1, MILESTONES_PER_POLL + 1),
    ],
    ids=["as many as fit", "one too many", "the first is known", "with other entries"],
)
def test_one_poll_takes_only_as_many_new_milestones_as_one_write(
    logs: list[dict[str, Any]], known: int, kept: int
) -> None:
    assert len(fitting(answer(*logs), known).logs) == kept


@pytest.mark.parametrize("seq", [2, 9])
def test_a_watch_without_a_checkpoint_continues_after_the_last_one_in_a_new_epoch(seq: int) -> None:
    (last,) = begin(watch(prompt(1), epoch=2, seq=4, turn=3))
    run = continued(watch(seq=seq, log_count=6, tail=("a-fingerprint",)), last)
    (checkpoint,) = begin(run)

    assert (last.epoch, last.seq) == (2, 5)
    assert (run.epoch, run.seq, run.log_count, run.tail) == (3, max(seq, 5), 0, ())
    assert (checkpoint.reason, checkpoint.parent) == (Reason.FOLLOW_UP, last.hash)
    assert continued(watch(), None) == watch()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (watch(), True),
        (watch(prompt(1)), False),
        (watch(checkpoint=head()), False),
        (watch(prompt(1, follow_up=True)), True),
    ],
    ids=["followed anew", "started here", "with a checkpoint", "followed anew by a follow-up"],
)
def test_only_a_run_that_was_not_started_here_may_have_unknown_checkpoints(run: Watch, expected: bool) -> None:
    assert may_be_known(run) is expected
