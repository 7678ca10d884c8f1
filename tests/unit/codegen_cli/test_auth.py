"""Logging in, and the settings that commands use."""

import json
import stat
from pathlib import Path

import pytest

from codegen_cli import configuration
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from tests.unit.codegen_cli.conftest import Run

URL = "http://codegen.test"


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.delenv("CODEGEN_TOKEN")
    monkeypatch.delenv("CODEGEN_ORG_ID")


@pytest.fixture
def file(home: Path) -> Path:
    return home / ".codegen" / "config.json"


def test_a_login_asks_verifies_and_writes_a_file_for_its_owner(run: Run, file: Path, on_a_terminal: None) -> None:
    monkeypatched = run("auth", "login", input=f"{URL}/v1\n{DEMO_TOKEN}\n{DEMO_ORG_ID}\n")

    assert monkeypatched.exit_code == 0, monkeypatched.output
    assert json.loads(file.read_text()) == {"base_url": URL, "org_id": DEMO_ORG_ID, "token": DEMO_TOKEN}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert DEMO_TOKEN not in monkeypatched.output, "the token must not be shown"
    assert "as Ada Example" in monkeypatched.stderr
    assert [each.name for each in file.parent.iterdir()] == ["config.json"]


def test_a_login_reads_the_token_from_standard_input(run: Run, file: Path) -> None:
    done = run("--base-url", URL, "--org-id", "123", "auth", "login", "--with-token", input=f"\ufeff{DEMO_TOKEN}\r\n")

    assert done.exit_code == 0, done.output
    assert json.loads(file.read_text())["token"] == DEMO_TOKEN


def test_a_local_login_asks_nothing(run: Run, file: Path) -> None:
    assert run("auth", "login", "--local").exit_code == 0
    assert json.loads(file.read_text()) == {"base_url": "http://127.0.0.1:3000", "org_id": 123, "token": "YOUR_TOKEN"}


def test_a_login_without_a_terminal_says_what_to_do(run: Run, file: Path) -> None:
    done = run("auth", "login")

    assert done.exit_code == 2
    assert "--with-token" in done.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    ("options", "token", "reason"),
    [
        (["--org-id", "123"], "wrong", "token"),
        (["--org-id", "999"], DEMO_TOKEN, "no access to the organization 999"),
        ([], DEMO_TOKEN, "Name the organization with --org-id. The token has access to: 123, 124"),
        (["--org-id", "123"], "", "token"),
    ],
)
def test_what_is_refused_is_not_written(run: Run, file: Path, options: list[str], token: str, reason: str) -> None:
    done = run("--base-url", URL, *options, "auth", "login", "--with-token", input=token)

    assert done.exit_code != 0
    assert reason in done.stderr
    assert not file.exists()


def test_a_login_keeps_the_keys_of_other_programs_and_a_link(run: Run, file: Path, home: Path) -> None:
    (home / "dotfiles.json").write_text('{"editor": "vi", "token": "old", "max_retries": 0}')
    file.parent.mkdir()
    file.symlink_to(home / "dotfiles.json")

    assert run("auth", "login", "--local").exit_code == 0
    found = json.loads((home / "dotfiles.json").read_text())
    assert (found["editor"], found["max_retries"], found["token"]) == ("vi", 0, "YOUR_TOKEN")
    assert file.is_symlink()


@pytest.mark.parametrize("content", ["{", "[1]", "\x00"])
def test_a_broken_file_is_not_overwritten(run: Run, file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    done = run("auth", "login", "--local")

    assert done.exit_code == 1
    assert "Repair or delete it first" in done.stderr
    assert file.read_text() == content


def test_a_write_that_fails_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.parent.mkdir()
    file.write_text('{"token": "old"}')

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left"):
        configuration.change({"token": "new"})
    assert file.read_text() == '{"token": "old"}'
    assert [each.name for each in file.parent.iterdir()] == ["config.json"]


def test_a_login_warns_of_variables_that_hide_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEGEN_ORG_ID", "124")

    assert "CODEGEN_ORG_ID is set, and takes precedence" in run("auth", "login", "--local").stderr


def test_a_logout_removes_only_the_token(run: Run, file: Path) -> None:
    run("auth", "login", "--local")

    assert run("auth", "logout").exit_code == 0
    assert json.loads(file.read_text()) == {"base_url": "http://127.0.0.1:3000", "org_id": 123}


def test_the_status_says_as_whom_and_where_the_token_is_from(run: Run, file: Path) -> None:
    run("auth", "login", "--local")
    shown = run("auth", "status")
    record = json.loads(run("auth", "status", "--json").stdout)

    assert shown.exit_code == 0
    assert "Ada Example" in shown.stdout
    assert "YOUR_TOKEN" not in shown.output
    assert (record["org_id"], record["token"], record["token_from"]) == (123, "YOUR...", str(file))


def test_a_status_with_a_wrong_token_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEGEN_TOKEN", "wrong")
    done = run("auth", "status")

    assert done.exit_code == 1
    assert "codegen-runs auth login" in done.stderr


def test_the_origin_of_each_setting_is_shown(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.parent.mkdir()
    file.write_text('{"token": "a-secret-token", "org_id": 5, "base_url": "http://file.test", "max_retries": 0}')
    file.chmod(0o600)
    monkeypatch.setenv("CODEGEN_BASE_URL", "http://variable.test/v1/")
    monkeypatch.setenv("CODEGEN_ORG_ID", "6")
    shown = run("--org-id", "7", "config", "show")
    record = json.loads(run("--org-id", "7", "config", "show", "--json").stdout)

    assert "a-secret-token" not in shown.output
    assert {name: tuple(each.values()) for name, each in record.items()} == {
        "base_url": ("http://variable.test", "CODEGEN_BASE_URL"),
        "org_id": ("7", "--org-id"),
        "token": ("a-se...", str(file)),
        "timeout": (30.0, "default"),
        "max_retries": (0, str(file)),
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run: Run, shell: str) -> None:
    assert "_CODEGEN_RUNS_COMPLETE" in run("completion", shell).stdout
