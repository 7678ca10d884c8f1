"""One soak: a stack with faults, the load, the wait until everything has settled, and the history."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from local.aws import faults as aws_faults
from local.aws.faults import Faults
from local.fake_codegen import DEMO_USER_ID, FakeCodegen
from local.soak import histories, plan
from local.soak.callers import Callers, Receiver
from local.soak.checking import SETTLED, TERMINAL_TYPES
from local.soak.upstream import SeededTroubles
from local.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.soak.plan import Load

# Codegen's last statuses, and the events that they lead to. Written down once more, so that the check is independent.
_ENDS = {
    "COMPLETE": "run.completed",
    "MAX_ITERATIONS_REACHED": "run.incomplete",
    "FAILED": "run.failed",
    "TIMEOUT": "run.timed_out",
    "CANCELLED": "run.cancelled",
}
_ANNOUNCED = ("run.completed", "run.incomplete", "run.failed", "run.timed_out", "multi_run.completed")

_LAST = TERMINAL_TYPES | {"multi_run.completed", "multi_run.failed", "multi_run.cancelled"}

_PARAMETERS = {
    "CodegenTimeout": "5",
    "CodegenLimitFactor": "100",
    "ConnectionsPerCaller": "1000",
    "StreamsPerCaller": "1000",
}
# Each long poll and each page of a stream occupies a process for up to 25 s. AWS Lambda starts one for each. On Linux
# they are forked here, so their starts cost little.
_WORKERS = 200
# A message whose function was killed comes again after this many seconds, and not after three minutes.
_VISIBILITY = "20"

# The functions whose event is repeated by its source, a queue or the state machine, if there is no answer.
_REPEATING = (
    "SendWebhooks",
    "PlanMultiRun",
    "LaunchCandidate",
    "GatherCandidates",
    "AskJudge",
    "SynthesizeCandidates",
    "PublishMultiRun",
)

RATES = {
    "throttled": 0.01,
    "conflicting": 0.01,
    "lost_answer": 0.01,
    "partial": 0.1,
    "killed": 0.005,
    "crashed": 0.005,
    "stepped": 0.02,
    "late": 0.05,
    "repeated": 0.05,
    "redelivered": 0.1,
    **{f"unanswered {function}": 0.05 for function in _REPEATING},
}
"""The share of the calls that meet each fault of the AWS stand-in."""

UPSTREAM_SHARE = 0.05
"""The share of the calls that meet trouble at the fake Codegen."""

_SAMPLE_SECONDS = 2.0
_LOOK_SECONDS = 2.0
_LOAD_SECONDS = 0.5


@dataclass(frozen=True)
class Soaked:
    """A soak that has ended: its history, the steps of its callers, and the seconds until everything had settled."""

    history: histories.History
    steps: int
    settled_after: float | None
    """Seconds from the end of the load until everything had settled; None if it has not."""


def soak(
    load: Load,
    *,
    settle: float,
    rates: dict[str, float] | None = None,
    upstream_share: float = UPSTREAM_SHARE,
    log_dir: Path | None = None,
) -> Soaked:
    """Run a soak.

    Args:
        load: The load.
        settle: How many seconds the stack may take to settle after the load, when there are no more faults.
        rates: The share of the calls that meet each fault of the AWS stand-in; None: `RATES`.
        upstream_share: The share of the calls that meet trouble at the fake Codegen.
        log_dir: The folder of the functions' logs; None: a temporary one.
    """
    fake = FakeCodegen(limits={})
    fake.troubles = troubles = SeededTroubles(seed=load.seed, share=upstream_share)
    tokens = [f"soak-token-{number}" for number in range(load.callers)]
    fake.tokens |= dict.fromkeys(tokens, DEMO_USER_ID)
    receiver = Receiver(load.seed)
    faults = Faults(load.seed, RATES if rates is None else rates)
    with ExitStack() as entered:
        url = entered.enter_context(receiver.serving())
        stack = entered.enter_context(
            Stack(fake=fake, faults=faults, parameters=_PARAMETERS, log_dir=log_dir, max_workers=_WORKERS)
        )
        return asyncio.run(_soak(stack, load, settle, tokens, receiver, url, troubles))


async def _soak(
    stack: Stack,
    load: Load,
    settle: float,
    tokens: list[str],
    receiver: Receiver,
    receiver_url: str,
    troubles: SeededTroubles,
) -> Soaked:
    steps = plan.make(load)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with httpx.AsyncClient(base_url=stack.api_url, trust_env=False, limits=limits) as http:
        callers = Callers(http, stack.websocket_url, stack.codegen.org_id, tokens)
        endpoint = {"url": receiver_url, "events": list(_ANNOUNCED)}
        created = await callers.send_once("POST", "/webhook-endpoints", stack.codegen.token, json=endpoint)
        assert created is not None
        created.raise_for_status()
        _shorten_visibility(stack)
        memory, machine = _Memory(stack), _Machine()
        samplings = [asyncio.create_task(memory.sample()), asyncio.create_task(machine.sample())]
        troubles.on = True
        await _switch(stack, on=True)
        await callers.play(steps)
        troubles.on = False
        injected = await _switch(stack, on=False)
        began = time.monotonic()
        await callers.finish(settle)
        observer = _Observer(stack, callers, receiver)
        settled = await observer.wait(settle - (time.monotonic() - began))
        settled_after = time.monotonic() - began if settled else None
        for sampling in samplings:
            sampling.cancel()
        recorder = callers.recorder
        history = histories.History(
            requests=tuple(recorder.requests),
            views=tuple(recorder.views),
            logs=await observer.logs(),
            upstream=observer.upstream(),
            started=recorder.started,
            multi_runs=await observer.multi_runs(),
            agents=tuple(recorder.agents),
            audit=await callers.audit(stack.codegen.token),
            announced=frozenset(_ANNOUNCED),
            org_id=stack.codegen.org_id,
            received=tuple(receiver.received),
            overlapping=receiver.overlapping,
            undelivered=_undelivered(stack),
            faults=tuple(histories.Fault(**fault) for fault in injected),
            troubles=tuple(troubles.met),
            memory=memory.taken(),
            loads=tuple(machine.loads),
        )
    return Soaked(history, len(steps), settled_after)


async def _switch(stack: Stack, *, on: bool) -> list[dict[str, Any]]:
    """Turn the faults of the AWS stand-in on or off, and return those that there were."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.put(stack.aws_url + aws_faults.PATH, json={"on": on})
    injected: list[dict[str, Any]] = answer.raise_for_status().json()["injected"]
    return injected


def _shorten_visibility(stack: Stack) -> None:
    sqs = stack.aws.client("sqs")
    sqs.set_queue_attributes(QueueUrl=_queue(stack, "DeliveryQueue"), Attributes={"VisibilityTimeout": _VISIBILITY})


def _undelivered(stack: Stack) -> tuple[str, ...]:
    """Return the ids of the messages in the queue for undelivered messages."""
    sqs, found = stack.aws.client("sqs"), []
    while messages := sqs.receive_message(
        QueueUrl=_queue(stack, "UndeliveredMessages"), MaxNumberOfMessages=10, VisibilityTimeout=600
    ).get("Messages"):
        found += [json.loads(message["Body"])["position"].partition("#")[2] for message in messages]
    return tuple(found)


def _queue(stack: Stack, logical_id: str) -> str:
    name = stack.template.queues[logical_id].name
    url: str = stack.aws.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    return url


class _Observer:
    """Reads, after the load, what has become of everything."""

    def __init__(self, stack: Stack, callers: Callers, receiver: Receiver) -> None:
        assert stack.fake
        self._fake = stack.fake
        self._token = stack.codegen.token
        self._org_id = stack.codegen.org_id
        self._callers = callers
        self._receiver = receiver
        self._ended: dict[str, histories.Log] = {}

    async def wait(self, seconds: float) -> bool:
        """Wait until everything has settled, or for some seconds. Return whether it has."""
        deadline = time.monotonic() + seconds
        while not await self._is_settled():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def _is_settled(self) -> bool:
        if any(each.status not in SETTLED for each in await self.multi_runs()):
            return False
        for watched in self._watched() - self._ended.keys():
            log = await self._log(watched)
            if log is None or not log.events or log.events[-1].type not in _LAST:
                return False
            self._ended[watched] = log
        received = {*self._receiver.received}
        return all(
            f"msg_{self._org_id}_{log.key}_{event.id}" in received
            for log in self._ended.values()
            for event in log.events
            if event.type in _ANNOUNCED
        )

    async def multi_runs(self) -> tuple[histories.MultiRun, ...]:
        """Return the multi-runs that were accepted."""
        found = []
        for id_ in self._callers.recorder.multi_runs:
            multi_run = await self._callers.get(f"/multi-runs/{id_}", self._token)
            found.append(histories.MultiRun(id_, multi_run["status"] if multi_run else "unreadable"))
        return tuple(found)

    async def logs(self) -> tuple[histories.Log, ...]:
        """Return the event logs of all runs and multi-runs that were accepted, as they are now."""
        logs = [await self._log(watched) for watched in sorted(self._watched())]
        return tuple(log for log in logs if log)

    def _watched(self) -> set[str]:
        """Return the ids of the runs and multi-runs that were accepted, and of the runs of these multi-runs."""
        recorder = self._callers.recorder
        multi_runs = set(recorder.multi_runs)
        of_multi_runs = {
            str(create.agent_run_id)
            for create in self._fake.creates
            if _metadata(create.body).get("multi_run_id") in multi_runs
        }
        return {*recorder.started.values()} | of_multi_runs | multi_runs

    async def _log(self, watched: str) -> histories.Log | None:
        kind = "multi-runs" if watched.startswith("mr-") else "agent/run"
        log = await self._callers.log(f"/{kind}/{watched}", self._token)
        return log and histories.Log(log[0], watched, log[1])

    def upstream(self) -> tuple[histories.Upstream, ...]:
        """Return the runs that were created at the fake Codegen."""
        now = self._fake.clock.now()
        found = []
        for create in self._fake.creates:
            run, metadata = self._fake.runs[create.agent_run_id], _metadata(create.body)
            key = metadata.get("client_run_id") or metadata.get("soak") or str(run.id)
            end = _ENDS.get(run.status(now))
            found.append(histories.Upstream(str(run.id), key, len(run.logs(now)), end))
        return tuple(found)


def _metadata(body: dict[str, Any]) -> dict[str, Any]:
    return body.get("metadata") or {}


class _Memory:
    """The memory of the functions' processes over time, from /proc. Elsewhere than on Linux there are no samples."""

    def __init__(self, stack: Stack) -> None:
        assert stack.log_dir
        self._log_dir = stack.log_dir.resolve()
        self._samples: dict[str, list[float]] = defaultdict(list)

    async def sample(self) -> None:
        """Take samples until cancelled."""
        while True:
            for pid, function in await asyncio.to_thread(lambda: list(workers(self._log_dir))):
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                except OSError:
                    continue  # it has just ended
                self._samples[f"{function} {pid}"].append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
            await asyncio.sleep(_SAMPLE_SECONDS)

    def taken(self) -> tuple[histories.Memory, ...]:
        """Return all samples."""
        return tuple(histories.Memory(process, tuple(samples)) for process, samples in self._samples.items())


class _Machine:
    """The load of the machine over time, from /proc. Elsewhere than on Linux there are no samples."""

    def __init__(self) -> None:
        self.loads: list[histories.Load] = []

    async def sample(self) -> None:
        """Take samples until cancelled."""
        try:
            while True:
                runnable = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
                # Without the thread that reads.
                self.loads.append(histories.Load(time.time(), (runnable - 1) / (os.cpu_count() or 1)))
                await asyncio.sleep(_LOAD_SECONDS)
        except FileNotFoundError:
            return


def workers(log_dir: Path) -> Iterable[tuple[int, str]]:
    """Yield the id and the function of each worker of a stack (Linux only).

    A worker's standard output is the log of its function, in the folder `log_dir`, which has no links in its path.
    """
    for output in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            log = output.readlink()
        except OSError:
            continue  # it has just ended, or is somebody else's
        if log.parent == log_dir:
            yield int(output.parts[2]), log.stem
