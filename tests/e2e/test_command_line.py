"""The command line `codegen-runs` against a running stack."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack
from tests.support.sources import LAYER

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def codegen_runs(stack: Stack, tmp_path: Path) -> Run:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CODEGEN")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(LAYER), "CODEGEN_BASE_URL": stack.api_url}
    config = tmp_path / ".codegen" / "config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"org_id": DEMO_ORG_ID, "token": DEMO_TOKEN}))
    config.chmod(0o600)

    def run(*line: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "codegen_cli", *line]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)

    return run


def test_a_run_is_started_followed_starred_and_listed(codegen_runs: Run) -> None:
    done = codegen_runs("run", "Explain it. [[fake seconds=10 steps=3 result='It is simple.']]")
    assert (done.returncode, done.stdout) == (0, "It is simple.\n"), done.stderr
    assert done.stderr.splitlines()[0].startswith("Run ")
    assert done.stderr.splitlines()[-1] == "completed"

    newest = json.loads(codegen_runs("list", "--limit", "1", "--json").stdout)
    assert codegen_runs("star", str(newest["id"]), "--note", "Simple.").returncode == 0
    assert "Simple." in codegen_runs("list", "--starred").stdout
    assert codegen_runs("watch", str(newest["id"])).stdout == "It is simple.\n"


@pytest.mark.full
def test_a_multi_run_ends_with_one_answer(codegen_runs: Run) -> None:
    done = codegen_runs("multi-run", "Explain it. [[fake seconds=5]]", "-n", "2", "--poll-interval", "0.5")

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "synthesis: completed" in done.stderr


def test_a_refused_cancel_names_the_consent_that_it_needs(codegen_runs: Run) -> None:
    run_id = codegen_runs("run", "--detach", "Fix it. [[fake ending=NEVER pull_request=true seconds=1]]").stdout.strip()

    refused = codegen_runs("cancel", run_id)
    done = codegen_runs("cancel", run_id, "--allow-pr-ban", "--reason", "No need.")

    assert refused.returncode == 1
    assert "Add --allow-pr-ban" in refused.stderr
    assert done.returncode == 0, done.stderr
