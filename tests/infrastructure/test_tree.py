"""What must never be committed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.sources import ROOT

FORBIDDEN = {
    "an AWS access key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
    "a Codegen or OpenAI key": r"\bsk-[0-9a-f]{8}-[0-9a-f]{4}",
    "an API token of a deployment": r"\bcgr_[0-9A-Za-z]{46}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a credential in a URL": r"https?://(?!ada:secret@)[^\s/:@\"'{}<>]+:[^\s/@\"'{}<>]+@",
    "the host of a package registry": r"\b(files\.pythonhosted\.org|pypi\.org/simple|registry\.npmjs\.org)\b",
    "the address of a package": r"https?://[^\" ]+\.(whl|tar\.gz|tgz|deb)\b",
    "a path of somebody's machine": r"(?<![\w.])/(root/|home/[a-z]|Users/[A-Za-z])",
}


def committed() -> list[Path]:
    """List the files that git knows."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("SKIPPED WHAT MUST NOT BE COMMITTED: this is no git working tree.")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [file for name in listed.split("\0") if name and (file := ROOT / name).is_file()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_committed_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    files = [file for file in committed() if file != Path(__file__)]
    texts = {file: file.read_text("utf-8", errors="replace") for file in files}

    assert {
        str(file.relative_to(ROOT)): found[0] for file, text in texts.items() if (found := pattern.search(text))
    } == {}


def test_no_link_to_an_environment_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files", ".venv*"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert listed == ""
