"""Calls of the doorbell: whatever is sent, the most that follows is one read of a run that is followed."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.backend import Backend
from codegen_runs.doorbell import ringing
from codegen_runs.poller.loop import Poller
from codegen_runs.problems import StorageUnavailable
from codegen_runs.runs import following
from codegen_runs.runs.schedule import RING_INTERVAL
from codegen_runs.statuses import Status
from codegen_runs.storage.doorbells import LATE_SECONDS
from codegen_runs.storage.runs import RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed
from local.fake_codegen import FakeCodegen, FakeTransport, Script
from local.fake_codegen.sample_data import Organization
from local.fake_codegen.schemas import WebhookOverride
from local.fake_codegen.webhooks import take_calls
from tests.support import backend as support
from tests.support import handlers
from tests.support.backend import TestClock, Tokens
from tests.support.events import call, rest
from tests.support.memory import MemoryRuns
from tests.unit.doorbell.conftest import (
    CUSTOMER,
    ORG,
    Queue,
    again,
    configure,
    follow,
    manage,
    name_of,
    ring,
)

NOBODY = "A" * 43


@pytest.fixture
def name(work: Backend, organization: Organization) -> str:
    """The last segment of the URL of a doorbell that is on."""
    manage("PUT", {})
    return name_of(organization)


def kicks(work: Backend) -> int:
    assert isinstance(work.kick, support.Kicks)
    return work.kick.count


def milliseconds(work: Backend) -> int:
    return round(work.clock.now() * 1000)


def test_a_ring_has_the_run_read_now(name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work)

    answer = ring(name, {"event_type": "agent_run_completed", "agent_run_id": watch.agent_run_id})

    assert (answer.status, answer.json) == (202, {"received": True})
    assert again(watch, work).due_at == milliseconds(work)
    assert kicks(work) == 1


def test_a_run_that_this_deployment_launched_is_found_by_its_id_at_codegen(
    name: str, fake: FakeCodegen, work: Backend
) -> None:
    watch = follow(fake, work).model_copy(update={"key": "r-1", "agent_run_id": 77, "rev": 0})
    assert work.runs.add(watch)

    ring(name, {"agent_run_id": 77})

    assert again(watch, work).due_at == milliseconds(work)


@pytest.mark.parametrize(
    "forged",
    [
        *(f"{ORG}-{NOBODY}", f"999-{NOBODY}", f"{ORG}-", f"{ORG}", "x", f"{ORG}-{'é' * 43}", f"-1-{NOBODY}"),
        *(f"{10**17}-{NOBODY}", f"{ORG}-{NOBODY}A", f"{ORG}-{NOBODY[1:]}", "%2e%2e", f"{ORG}%00-{NOBODY}"),
    ],
)
def test_a_forged_url_is_not_found_and_has_no_effect(forged: str, name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work)

    answer = ring(forged, {"agent_run_id": watch.agent_run_id})

    assert (answer.status, answer.json["code"]) == (404, "doorbell_not_found")
    assert again(watch, work) == watch
    assert kicks(work) == 0


def test_the_key_of_one_organization_does_not_ring_at_another(name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work)

    assert ring(name.replace(f"{ORG}-", "124-"), {"agent_run_id": watch.agent_run_id}).status == 404


def test_a_run_of_another_organization_is_not_read(name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work).model_copy(update={"org_id": 124, "rev": 0})
    assert work.runs.add(watch)
    first = follow(fake, work)

    assert ring(name, {"agent_run_id": watch.agent_run_id + 100 if watch.agent_run_id else 0}).status == 202
    assert again(watch, work) == watch
    assert again(first, work) == first


GARBAGE = (
    *("", "null", "[]", "{", "not JSON", '{"agent_run_id": null}', '{"agent_run_id": -1}', '{"agent_run_id": 1.5}'),
    *('{"agent_run_id": "' + "9" * 400 + '"}', '{"agent_run_id": 999999}', "[" * 100_000),
)


@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data", "text/plain", "\x7f"])
def test_garbage_is_accepted_and_has_no_effect(media_type: str, name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work)
    headers = {"Content-Type": media_type, "Content-Encoding": "gzip"}

    assert [ring(name, body, headers).status for body in GARBAGE] == [202] * len(GARBAGE)
    assert again(watch, work) == watch
    assert kicks(work) == 0


def test_a_body_that_is_not_text_is_accepted(name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work)
    event = rest("POST", f"/v1/doorbell/{name}", caller=None)
    body = b'\xff\xfe{"agent_run_id": %d}' % (watch.agent_run_id or 0)
    event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}

    assert call(handlers.handler("doorbell/ring"), event).status == 202
    assert again(watch, work).due_at == milliseconds(work)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"agent_run_id": 7}, [7]),
        ({"agent_run_id": "7"}, [7]),
        ({"agentRunId": 7}, [7]),
        ({"data": {"run": {"id": 7}}}, [7]),
        ({"id": 1, "organization_id": 2, "run_id": 7}, [7, 1, 2]),
        ({"ids": [7], "valid": 8, "agent_run_id": True}, [8]),
        ({"agent_run_id": 7, "id": 7}, [7]),
        ([{"id": number} for number in range(9)], [0, 1, 2, 3, 4]),
    ],
)
def test_the_ids_in_a_body_are_found_and_those_of_runs_come_first(body: Any, found: list[int]) -> None:
    assert ringing.ids_in(json.dumps(body).encode()) == found


def test_only_the_beginning_of_a_body_is_searched() -> None:
    assert ringing.ids_in(b" " * ringing.SEARCHED_BYTES + b'{"agent_run_id": 7}') == []


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_no_body_is_too_odd_to_be_searched(body: bytes) -> None:
    assert len(ringing.ids_in(body)) <= ringing.MOST_IDS


# --- how many reads follow --------------------------------------------------------------------------------------------


def test_only_one_of_several_runs_in_a_body_is_read(name: str, fake: FakeCodegen, work: Backend) -> None:
    first, second = follow(fake, work), follow(fake, work)

    ring(name, [{"agent_run_id": first.agent_run_id}, {"agent_run_id": second.agent_run_id}])

    assert again(first, work).due_at == milliseconds(work)
    assert again(second, work) == second


def test_duplicates_lead_to_one_read(name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work)
    for _ in range(5):
        ring(name, {"agent_run_id": watch.agent_run_id})

    assert again(watch, work).rev == watch.rev + 1
    assert kicks(work) == 1


def test_rings_that_follow_each_other_lead_to_a_read_in_each_interval_and_none_is_lost(
    name: str, fake: FakeCodegen, work: Backend, clock: TestClock
) -> None:
    watch = follow(fake, work, due_in=600)
    reads: set[int] = set()
    began = milliseconds(work)
    for _ in range(100):
        ring(name, {"agent_run_id": watch.agent_run_id})
        current = again(watch, work)
        assert current.due_at is not None
        if current.due_at <= milliseconds(work):
            reads.add(current.due_at - began)
            work.runs.write(current.model_copy(update={"due_at": milliseconds(work) + 600_000}))  # The poller read it.
        clock.sleep(0.2)

    assert sorted(reads) == [0, 5_000, 10_000, 15_000]
    assert kicks(work) == 5  # Each moved poll needs a poller, also the one that is still to come.
    assert RING_INTERVAL == 5


def test_a_run_that_is_about_to_be_read_is_left_alone(name: str, fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work, due_in=0)

    ring(name, {"agent_run_id": watch.agent_run_id})

    assert again(watch, work) == watch


@pytest.mark.parametrize(
    "change",
    [
        {"status": Status.COMPLETED},
        {"due_at": None},
        {"agent_run_id": None, "status": Status.QUEUED},
    ],
)
def test_a_run_that_has_ended_or_is_not_at_codegen_yet_is_left_alone(
    change: dict[str, Any], fake: FakeCodegen, work: Backend
) -> None:
    watch = follow(fake, work).model_copy(update=change)

    assert not following.ring(watch, backend=work)
    assert kicks(work) == 0


def test_a_ring_during_a_write_of_the_poller_is_not_lost(name: str, fake: FakeCodegen, work: Backend) -> None:
    """The poller may have read the run just before its end."""
    watch = follow(fake, work)
    work.runs.write(watch.model_copy(update={"due_at": milliseconds(work) + 30_000}))

    assert following.ring(watch, backend=work)
    assert again(watch, work).due_at == milliseconds(work)


def test_a_ring_for_a_run_that_is_deleted_meanwhile_has_no_effect(fake: FakeCodegen, work: Backend) -> None:
    watch = follow(fake, work)

    class Gone(RunsTable):
        def write(self, *_: Any, **__: Any) -> Watch:
            raise ConditionFailed

        def get(self, *_: Any) -> None:
            return None

    assert not following.ring(watch, backend=Backend(clock=work.clock, runs=Gone("RunsTable"), kick=work.kick))


# --- when it is turned off --------------------------------------------------------------------------------------------


def test_a_doorbell_that_was_turned_off_rings_for_an_hour(
    name: str, fake: FakeCodegen, work: Backend, clock: TestClock
) -> None:
    manage("DELETE")

    assert ring(name).status == 202
    clock.sleep(LATE_SECONDS - 1)
    assert ring(name).status == 202
    clock.sleep(1)
    assert ring(name).status == 404


def test_the_earlier_url_does_not_ring_once_it_is_on_again(name: str, organization: Organization) -> None:
    manage("DELETE")
    manage("PUT", {})

    assert ring(name).status == 404
    assert ring(name_of(organization)).status == 202


# --- the end of a run -------------------------------------------------------------------------------------------------


@pytest.fixture
def memory(name: str, work: Backend) -> Backend:
    """The doorbell, with runs in memory, which a poller reads fast."""
    return Backend(clock=work.clock, doorbells=work.doorbells, kick=work.kick, runs=cast(RunsTable, MemoryRuns()))


class Ringing:
    """The clock of a poller. Codegen calls its webhooks while the poller sleeps, unless they are lost."""

    def __init__(self, clock: TestClock, fake: FakeCodegen, work: Backend, *, lost: bool = False) -> None:
        self._clock, self._fake, self._work, self._lost = clock, fake, work, lost
        self.called: list[str] = []

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        for made in take_calls(self._fake):
            self.called.append(made.url)
            if not self._lost and "/v1/doorbell/" in made.url:
                name = made.url.rpartition("/")[2]
                ringing.ring(name, made.headers.items(), made.body, backend=self._work)


def seconds_until_the_end_is_seen(fake: FakeCodegen, work: Backend, clock: Ringing, **more: Any) -> float:
    """Follow a run that logs nothing for 200 s and then ends; return how long after its end a viewer sees it."""
    organization = fake.organizations[ORG]
    script = Script(seconds=200, steps=0)
    run = fake.start(organization, "Hello!", user_id=1, script=script, **more)
    watch = following.first_watch(org_id=ORG, agent_run_id=run.id, status="ACTIVE", now=clock.now())
    work.runs.add(watch.model_copy(update={"due_at": round(clock.now() * 1000)}))
    began = clock.now()
    codegen = support.codegen(FakeTransport(fake))
    poller = Poller(runs=work.runs, codegen=codegen, tokens=Tokens(), clock=clock, holder="me", concurrency=1)
    while not (
        events := [each for each in work.runs.events(ORG, watch.key, limit=1000) if each.type == "run.completed"]
    ):
        poller.tick(clock.now() + 58, patient=True)
        clock.sleep(0.5)
    return datetime.fromisoformat(events[0].ts).timestamp() - (began + run.turns[-1].plan.ends_at)


def test_the_end_of_a_run_that_is_read_rarely_is_seen_within_two_seconds(
    fake: FakeCodegen, memory: Backend, clock: TestClock
) -> None:
    assert seconds_until_the_end_is_seen(fake, memory, Ringing(clock, fake, memory)) <= 2


def test_if_the_call_is_lost_the_poller_finds_the_end_by_itself(
    fake: FakeCodegen, memory: Backend, clock: TestClock
) -> None:
    assert 2 < seconds_until_the_end_is_seen(fake, memory, Ringing(clock, fake, memory, lost=True)) <= 31


def test_the_webhooks_of_a_run_take_precedence_and_the_poller_finds_its_end_by_itself(
    fake: FakeCodegen, memory: Backend, clock: TestClock
) -> None:
    ringing_clock = Ringing(clock, fake, memory)
    own = [WebhookOverride(url=CUSTOMER)]

    assert 2 < seconds_until_the_end_is_seen(fake, memory, ringing_clock, webhooks=own) <= 31
    assert ringing_clock.called == [CUSTOMER]


def test_no_log_line_has_the_key(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ring(name, {"agent_run_id": 7})
    ring(name.replace("-", "_"), {})

    lines = capsys.readouterr().out
    assert "POST /v1/doorbell/{doorbell}" in lines
    assert name.partition("-")[2] not in lines


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_ring_that_cannot_be_stored_is_answered_all_the_same(
    name: str, fake: FakeCodegen, work: Backend, queue: Queue, organization: Organization
) -> None:
    """Otherwise Codegen might repeat a call that is forwarded already."""
    manage("DELETE")
    configure(organization)
    manage("PUT", {"forward": True})

    class Down(RunsTable):
        def find(self, *_: Any) -> Watch:
            raise StorageUnavailable("Down.")

    work.__dict__["runs"] = work._parts["runs"] = Down("RunsTable")

    assert ring(name_of(organization), {"agent_run_id": 7}).status == 202
    assert len(queue.take()) == 1
