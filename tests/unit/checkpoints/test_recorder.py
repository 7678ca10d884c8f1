"""The checkpoints that the poller creates: when it creates one, exactly once, after any crash."""

from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen_api import AgentRun, AgentRunLogs, CodegenAPI
from codegen_runs.poller.loop import Poller
from codegen_runs.prompts import Prompt, following
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import Checkpoint
from codegen_runs.storage.runs import RunsTable, Watch
from tests.support.backend import Tokens
from tests.support.memory import MemoryRuns
from tests.support.profiles import examples

ORG, RUN, KEY = 123, 7, "7"
NOW = 1_750_000_000.0
TYPES: dict[str, dict[str, Any]] = {
    "plan": {"message_type": "PLAN_EVALUATION", "thought": "Do the smaller thing first."},
    "pull_request": {"message_type": "INITIAL_PR_GENERATION", "observation": "Opened."},
    "tool": {"message_type": "ACTION", "tool_name": "create_pr", "tool_output": {"state": "open"}, "thought": "Ready."},
    "": {"message_type": "ACTION", "tool_name": "search", "tool_output": {}},
}


class CrashError(Exception):
    """The poller crashes."""


class Clock:
    def now(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError


class Upstream:
    """A run with the log that a test writes."""

    def __init__(self) -> None:
        self.runs = self
        self.history: list[dict[str, Any]] = []
        self.status = "ACTIVE"
        self.result: str | None = None

    def log(self, *kinds: str) -> None:
        for kind in kinds:
            entry: dict[str, Any] = {"agent_run_id": RUN, "created_at": f"2025-06-21 12:00:{len(self.history):06d}"}
            self.history.append(entry | TYPES[kind])

    def get(self, agent_run_id: int, *, org_id: int) -> AgentRun:
        return AgentRun(id=agent_run_id, organization_id=org_id, status=self.status)

    def logs(self, agent_run_id: int, *, org_id: int, skip: int, limit: int) -> AgentRunLogs:
        answer = {"id": agent_run_id, "organization_id": org_id, "status": self.status, "result": self.result}
        return AgentRunLogs.model_validate(
            answer | {"logs": self.history[skip : skip + limit], "total_logs": len(self.history)}
        )


class Scene:
    """One run, its poller, and what became of it."""

    def __init__(self, prompt: str | None = "Fix the bug.") -> None:
        self.runs, self.upstream = MemoryRuns(), Upstream()
        now = round(NOW * 1000)
        prompts = following((), Prompt(turn=1, text=prompt, at=now)) if prompt else ()
        self.runs.add(
            Watch(org_id=ORG, key=KEY, agent_run_id=RUN, status=Status.UNKNOWN, prompts=prompts, repo_id=11,
                  created_at=now, updated_at=now, deadline_at=now + 10**9, due_at=now)
        )  # fmt: skip

    def poll(self, times: int = 1) -> None:
        runs, codegen = cast(RunsTable, self.runs), cast(CodegenAPI, self.upstream)
        poller = Poller(runs=runs, codegen=codegen, tokens=Tokens(), clock=Clock(), holder="me")
        for _ in range(times):
            poller.poll(ORG, KEY)

    def send(self, text: str, turn: int, **changes: Any) -> None:
        watch = self.watch
        prompts = following(watch.prompts, Prompt(turn=turn, text=text, at=0, follow_up=True))
        self.runs.write(watch.model_copy(update={"prompts": prompts, "turn": turn, "due_at": 0} | changes))

    @property
    def watch(self) -> Watch:
        return self.runs.watches[ORG, KEY]

    @property
    def made(self) -> list[Checkpoint]:
        return self.runs.checkpoints.get((ORG, KEY), [])

    @property
    def reasons(self) -> list[str]:
        return [str(checkpoint.reason) for checkpoint in self.made]

    def end(self, result: str = "Done.") -> None:
        self.upstream.status, self.upstream.result = "COMPLETE", result
        self.poll(3)


def test_a_run_has_a_checkpoint_at_its_start_at_its_plan_at_its_pull_request_and_at_its_end() -> None:
    scene = Scene()
    scene.upstream.log("", "plan", "", "tool", "pull_request")
    scene.end()

    assert scene.reasons == ["start", "plan", "pull_request", "pull_request", "end"]
    start, plan, *_, end = scene.made
    assert [prompt.text for prompt in start.prompts] == ["Fix the bug."]
    assert (start.summary, plan.summary, end.summary) == ("Fix the bug.", "Do the smaller thing first.", "Done.")
    assert (end.answer, end.status, end.repo_id) == ("Done.", "completed", 11)


def test_each_checkpoint_has_the_number_of_its_event() -> None:
    scene = Scene()
    scene.upstream.log("plan")
    scene.end()

    events = [event for event in scene.runs.log[ORG, KEY] if event.type == "checkpoint.created"]
    assert [(event.epoch, event.seq) for event in events] == [(made.epoch, made.seq) for made in scene.made]
    assert [event.data["checkpoint_id"] for event in events] == [made.id for made in scene.made]
    assert [event.data["reason"] for event in events] == scene.reasons
    assert scene.runs.log[ORG, KEY][-1].type == "run.completed"


def test_each_follow_up_has_a_checkpoint_with_only_the_new_prompts() -> None:
    scene = Scene()
    scene.poll()
    scene.send("And test it.", turn=1)
    scene.poll(2)
    scene.end()
    scene.upstream.status = "ACTIVE"
    scene.send("And document it.", turn=2, status=Status.UNKNOWN)
    scene.poll(2)

    assert scene.reasons == ["start", "follow_up", "end", "follow_up"]
    assert [[prompt.text for prompt in made.prompts] for made in scene.made] == [
        ["Fix the bug."], ["And test it."], [], ["And document it."]
    ]  # fmt: skip
    assert [made.turn for made in scene.made] == [1, 1, 1, 2]


def test_a_run_started_elsewhere_has_checkpoints_without_prompts() -> None:
    scene = Scene(prompt=None)
    scene.end()

    assert scene.reasons == ["start", "end"]
    assert scene.made[0].prompts == ()
    assert scene.made[0].summary is None


def test_a_poll_that_finds_nothing_new_creates_no_checkpoint() -> None:
    scene = Scene()
    scene.upstream.log("plan")
    scene.poll(10)

    assert scene.reasons == ["start", "plan"]


def test_each_hash_covers_its_checkpoint_and_all_earlier_ones() -> None:
    scene = Scene()
    scene.upstream.log("plan", "plan")
    scene.end()

    assert [made.parent for made in scene.made] == [None, *(made.hash for made in scene.made[:-1])]
    assert all(made.hash == made.digest for made in scene.made)
    assert len({made.hash for made in scene.made}) == len(scene.made)
    assert scene.made[1].model_copy(update={"summary": "Another."}).digest != scene.made[1].hash


def test_a_plan_whose_log_entry_is_updated_has_one_checkpoint() -> None:
    scene = Scene()
    scene.upstream.log("plan")
    scene.poll()
    scene.upstream.history[-1] |= {"observation": "It holds."}
    scene.poll(2)

    assert [event.type for event in scene.runs.log[ORG, KEY]].count("run.log_updated") == 1
    assert scene.reasons == ["start", "plan"]


def test_a_long_answer_is_cut_to_the_size_of_a_row() -> None:
    scene = Scene()
    scene.end(result="word " * 10_000)

    end = scene.made[-1]
    assert end.answer_truncated
    assert len(end.answer or "") == 20_000
    assert len(end.summary or "") == 200


kinds = st.sampled_from([*TYPES, "", ""])
fates = st.sampled_from(["", "", "before", "after", "rival"])


@settings(max_examples=examples(60))
@given(story=st.lists(st.tuples(st.lists(kinds, max_size=120), fates), max_size=6))
def test_after_any_crashes_each_milestone_has_one_checkpoint_in_the_order_of_the_log(story: list[Any]) -> None:
    scene = Scene()

    def die() -> None:
        scene.runs.before = scene.runs.after = lambda: None
        raise CrashError

    for logs, fate in story:
        scene.upstream.log(*logs)
        if fate == "rival":
            stale, real = scene.watch, scene.runs.get
            scene.poll()
            scene.runs.get = lambda *_, stale=stale: stale  # type: ignore[method-assign]
            scene.poll()
            scene.runs.get = real  # type: ignore[method-assign]
            continue
        setattr(scene.runs, fate or "unused", die)
        try:
            scene.poll()
        except CrashError:
            continue
        finally:
            scene.runs.before = scene.runs.after = lambda: None
    scene.upstream.status = "COMPLETE"
    scene.poll(200)

    logged = {"PLAN_EVALUATION": "plan", "INITIAL_PR_GENERATION": "pull_request"}
    milestones = [
        "pull_request" if log.get("tool_name") == "create_pr" else logged[log["message_type"]]
        for log in scene.upstream.history
        if log.get("tool_name") == "create_pr" or log["message_type"] in logged
    ]
    assert scene.reasons == ["start", *milestones, "end"]
    events = scene.runs.log[ORG, KEY]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [made.seq for made in scene.made] == [event.seq for event in events if event.type == "checkpoint.created"]
    assert [event.data["position"] for event in events if event.type == "run.log"] == list(
        range(len(scene.upstream.history))
    )
