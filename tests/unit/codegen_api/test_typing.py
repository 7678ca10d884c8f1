"""The types of the client, as a user's type checker sees them."""

import subprocess
import sys

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


def test_the_script_runs(capsys):
    with serve(FakeCodegen(pace=0)) as url:
        user_script.main(url)

    assert "completed: " in capsys.readouterr().out
