"""`make run` with another Codegen than its own fake is killed in the middle of a multi-run, and started again."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, serve

ROOT = Path(__file__).parents[3]
ORGANIZATION = f"/v1/organizations/{DEMO_ORG_ID}"
STAR = ("agent_run_id", "note", "starred_at")
PATIENCE = 180


@contextmanager
def make_run(codegen: str, state: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Run `python -m local` with a Codegen API, and yield it and a client of its API. It is killed at the end."""
    environment = os.environ | {
        **dict.fromkeys(("PORT", "WEBSOCKET_PORT", "AWS_PORT"), "0"),
        "CODEGEN_API_TOKEN": DEMO_TOKEN,
        "CODEGEN_ORG_ID": str(DEMO_ORG_ID),
        "CODEGEN_BASE_URL": f"{codegen}/v1",
        "XDG_STATE_HOME": str(state),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "local"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            url = next(found[1] for line in process.stdout if (found := re.match(r"  API +(http\S+)", line)))
            headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
            with httpx.Client(base_url=url + ORGANIZATION, headers=headers, timeout=35, trust_env=False) as api:
                yield process, api
        finally:
            process.kill()


def read_until(api: httpx.Client, path: str, is_reached: Callable[[Any], bool]) -> Any:
    """Read until the answer is as expected."""
    deadline = time.monotonic() + PATIENCE
    while not is_reached(answer := api.get(path).raise_for_status().json()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
    return answer


@pytest.mark.full
def test_what_was_stored_and_a_multi_run_at_work_outlive_a_kill(tmp_path: Path) -> None:
    fake = FakeCodegen(limits={})
    with serve(fake) as codegen:
        with make_run(codegen, tmp_path) as (process, api):
            prompt = "Wait. [[fake ending=NEVER]] [[fake-synthesis seconds=0]]"
            created = api.post("/multi-runs", json={"prompt": prompt, "concurrency": 2}).raise_for_status().json()
            path = f"/multi-runs/{created['id']}"
            runs = [run["agent_run_id"] for run in read_until(api, path, _all_run)["candidates"]]
            star = api.post("/starred-runs", json={"agent_run_id": runs[0], "note": "Keep this."}).raise_for_status()
            api.delete("/agents/customer_support").raise_for_status()
            events = read_until(api, f"/agent/run/{runs[0]}/events", lambda page: len(page["items"]) > 2)
            process.kill()

        for run in runs:
            fake.finish(run, result=f"The answer of {run}.")
        with make_run(codegen, tmp_path) as (_, api):
            ended = read_until(api, path, lambda snapshot: snapshot["finished_at"])

            assert (ended["status"], ended["answer"]["source"]) == ("completed", "synthesis")
            assert [run["agent_run_id"] for run in ended["candidates"]] == runs
            assert len(fake.creates) == 3, "no run was started twice"
            (starred,) = api.get("/starred-runs").json()["items"]
            assert [starred[name] for name in STAR] == [star.json()[name] for name in STAR]
            cards = api.get("/run-cards", params={"starred": True}).json()["items"]
            assert [card["id"] for card in cards] == runs[:1]
            after = api.get(f"/agent/run/{runs[0]}/events").json()["items"]
            assert after[: len(events["items"])] == events["items"]
            assert after[-1]["type"] == "run.completed"
            assert {agent["id"] for agent in api.get("/agents").json()["items"]} == {"assistant"}

    (folder,) = tmp_path.glob("codegen-runs/127.0.0.1*/*")
    assert folder.name == str(DEMO_ORG_ID)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert all(DEMO_TOKEN not in file.read_text() for file in folder.iterdir())


def _all_run(snapshot: Any) -> bool:
    return all(run["status"] == "running" for run in snapshot["candidates"])
