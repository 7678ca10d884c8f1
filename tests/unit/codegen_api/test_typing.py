"""The types of the client, as a user's type checker sees them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local.fake_codegen import FakeCodegen, serve
from tests.support.sources import ROOT
from tests.unit.codegen_api import user_script

SCRIPT = ROOT / "tests" / "unit" / "codegen_api" / "user_script.py"


@pytest.mark.full
def test_a_script_of_a_user_passes_the_strictest_check_and_its_mistake_is_found():
    # The mistake has an ignore comment. If the check did not find it, the unused comment would be an error.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", str(SCRIPT)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.full
def test_it_passes_pyright_in_its_strictest_mode_and_its_mistake_is_found(tmp_path: Path):
    settings = {
        "include": [str(SCRIPT)],
        "extraPaths": [str(ROOT / "layers" / "codegen")],
        "typeCheckingMode": "strict",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))

    # The package of this pyright has Node.js in it, so that nothing is downloaded when it runs.
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "basedpyright",
            "--project",
            str(tmp_path),
            "--pythonpath",
            sys.executable,
            "--outputjson",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    report = json.loads(done.stdout)
    assert (report["summary"]["filesAnalyzed"], report["generalDiagnostics"]) == (1, []), done.stdout


def test_the_script_runs(capsys):
    with serve(FakeCodegen(pace=0)) as url:
        user_script.main(url)

    assert "completed: " in capsys.readouterr().out
