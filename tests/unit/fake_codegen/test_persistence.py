"""A fake whose state outlives its process."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, ManualClock, Persistence, serve
from local.journal import DataError, open_journal

ORGANIZATION = f"/v1/organizations/{DEMO_ORG_ID}"
RUNS = f"{ORGANIZATION}/agent/run"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "codegen.journal"


@contextmanager
def running(path: Path) -> Iterator[tuple[FakeCodegen, httpx.Client]]:
    """Serve a fake with this journal, whose process dies at the end: nothing is written then."""
    fake = FakeCodegen(clock=ManualClock(), limits={})
    with closing(Persistence(fake, path, on_failure=pytest.fail)) as persistence:
        headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
        with (
            serve(fake, keep=persistence.keep) as url,
            httpx.Client(base_url=url, headers=headers, trust_env=False) as client,
        ):
            yield fake, client


def seen(client: httpx.Client) -> dict[str, Any]:
    """Return what a caller sees of everything that can change."""
    runs = client.get(f"{ORGANIZATION}/agent/runs", params={"limit": 100}).json()["items"]
    paths = [f"{ORGANIZATION}/agent/run/{run['id']}/logs" for run in runs]
    paths += [
        f"{ORGANIZATION}/webhooks/agent-run",
        f"{ORGANIZATION}/users",
        "/_fake/creates",
        "/v1/oauth/tokens/status",
    ]
    return {"runs": runs, "now": client.get("/_fake").json()["now"]} | {
        path: client.get(path, params={"org_id": DEMO_ORG_ID} if "oauth" in path else {}).json() for path in paths
    }


def create(client: httpx.Client, prompt: str) -> int:
    run: int = (
        client.post(RUNS, json={"prompt": prompt, "metadata": {"ü": [1.5, None]}}).raise_for_status().json()["id"]
    )
    return run


def test_the_next_fake_shows_what_the_one_before_showed(path: Path) -> None:
    with running(path) as (_, client):
        first = create(client, "Fix the shop. [[fake pull_request=true seconds=10]]")
        create(client, "Wait. [[fake ending=NEVER logs=rewritten seconds=20]]")
        third = create(client, "Say it. [[fake seconds=1]]")
        client.post("/_fake/clock", json={"advance": 15}).raise_for_status()
        client.post(f"{RUNS}/resume", json={"agent_run_id": third, "prompt": "Again."}).raise_for_status()
        client.put(f"/_fake/runs/{third}", json={"ending": "TIMEOUT", "seconds": 1}).raise_for_status()
        client.post(f"{RUNS}/ban", json={"agent_run_id": first}).raise_for_status()
        webhook = {"url": "https://hooks.example.test", "enabled": True}
        client.post(f"{ORGANIZATION}/webhooks/agent-run", json=webhook).raise_for_status()
        before = seen(client)

    with running(path) as (_, client):
        assert seen(client) == before
        client.post("/_fake/clock", json={"advance": 60}).raise_for_status()
        assert client.get(f"{RUNS}/{third}").json()["status"] == "TIMEOUT"
        assert create(client, "The next one.") == third + 1


def test_runs_share_their_pull_request_as_before(path: Path) -> None:
    with running(path) as (fake, client):
        first = create(client, "Fix the shop. [[fake pull_request=true seconds=1]]")
        client.post("/_fake/clock", json={"advance": 2}).raise_for_status()
        number = client.get(f"{RUNS}/{first}").json()["github_pull_requests"][0]["id"]
        second = create(client, f"Go on. [[fake pull_request_id={number} ending=NEVER]]")

    with running(path) as (fake, client):
        assert fake.runs[first].pull_request is fake.runs[second].pull_request
        client.post(f"{RUNS}/ban", json={"agent_run_id": first}).raise_for_status()
        assert client.get(f"{RUNS}/{second}").json()["status"] == "CANCELLED"


def test_a_ban_of_a_run_that_has_ended_is_kept(path: Path) -> None:
    with running(path) as (_, client):
        run = create(client, "Say it. [[fake seconds=0 pull_request=false]]")
        client.post(f"{RUNS}/ban", json={"agent_run_id": run}).raise_for_status()

    with running(path) as (fake, _):
        assert fake.runs[run].checks_banned


def test_a_create_whose_answer_was_lost_is_kept(path: Path) -> None:
    with running(path) as (_, client):
        trouble = {"operation": "create_agent_run", "trouble": {"kind": "lost_answer"}}
        client.post("/_fake/troubles", json=trouble).raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            create(client, "Lost.")

    with running(path) as (fake, _):
        assert [kept.body["prompt"] for kept in fake.creates] == ["Lost."]


def test_a_reset_is_kept(path: Path) -> None:
    with running(path) as (_, client):
        initial = seen(client)
        create(client, "Something.")
        client.post("/_fake/reset").raise_for_status()
        assert seen(client) == initial

    with running(path) as (_, client):
        assert seen(client) == initial


def test_a_call_writes_only_what_it_has_changed(path: Path) -> None:
    with running(path) as (_, client):
        first, second = create(client, "One."), create(client, "Two.")
        client.get(f"{ORGANIZATION}/agent/runs")
        client.post("/_fake/scripts", json={"script": {}}).raise_for_status()
        client.post(f"{RUNS}/resume", json={"agent_run_id": first, "prompt": "Again."}).raise_for_status()

    journal, records = open_journal(path, "the state of a fake Codegen", 1)
    journal.close()
    assert [set(record) for record in records[1:]] == [
        {f"run/{first}", "create/0"},
        {f"run/{second}", "create/1"},
        {f"run/{first}"},
    ]


def test_a_long_journal_is_rewritten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.fake_codegen.persistence._MOST_PARTS", 10)
    with running(path) as (_, client):
        for _ in range(100):
            client.post("/_fake/clock", json={"advance": 1}).raise_for_status()
        before = seen(client)

    assert path.read_bytes().count(b"\n") < 60
    with running(path) as (_, client):
        assert seen(client) == before


def test_a_full_disk_fails_the_call_and_is_reported_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    failures: list[DataError] = []
    fake = FakeCodegen(clock=ManualClock())
    with closing(Persistence(fake, path, on_failure=failures.append)) as persistence:
        monkeypatch.setattr("local.journal._write", refuse)
        fake.clock.advance(1)
        for _ in range(2):
            with pytest.raises(DataError, match="No space left on device"):
                persistence.keep()

    assert len(failures) == 1


@pytest.mark.parametrize(
    "record", [{"run/1": {}}, {"clock": 0, "run/1": {"id": "x"}}, {"clock": 0, "planet/1": {}}, ["a list"]]
)
def test_the_state_of_another_version_is_refused_and_not_overwritten(path: Path, record: Any) -> None:
    journal, _ = open_journal(path, "the state of a fake Codegen", 1)
    journal.append(record)
    journal.close()
    content = path.read_bytes()

    with pytest.raises(DataError, match="another version of Codegen Runs and was not changed"):
        Persistence(FakeCodegen(), path, on_failure=pytest.fail)
    assert path.read_bytes() == content


def test_every_part_of_the_state_is_kept_or_known_not_to_be(path: Path) -> None:
    kept = {"clock", "organizations", "pull_requests", "runs", "creates"}
    not_kept = {"pace", "limiter", "calls", "calls_about", "troubles", "scripts"}
    constant = {"lock", "tokens", "models"}
    follows_from_the_kept = {"_run_ids", "_pull_request_ids", "webhooks"}

    assert set(vars(FakeCodegen())) == kept | not_kept | constant | follows_from_the_kept
