"""The folder in which a local stack keeps its state."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from local.data import data, default_folder, origin
from local.journal import DataError
from local.loopback import PortTakenError


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with data(folder) as found:
        assert found.folder == folder

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def test_a_relative_folder_and_a_home_directory_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    with data(Path("here")) as here, data(Path("~/there")) as there:
        assert [here.folder, there.folder] == [tmp_path / "here", tmp_path / "home" / "there"]


def test_a_folder_is_used_by_one_stack_at_a_time(tmp_path: Path) -> None:
    with data(tmp_path):
        with pytest.raises(DataError, match="is in use by another local stack"), data(tmp_path):
            pytest.fail("Two stacks use one folder.")
        with data(tmp_path / "other"):
            pass
    with data(tmp_path):
        pass


def test_a_lock_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()

    with pytest.raises(DataError, match=r"lock cannot be used: Is a directory\."), data(tmp_path):
        pytest.fail("The folder was used.")


def test_an_error_of_the_stack_is_not_taken_for_one_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(PortTakenError), data(tmp_path):
        raise PortTakenError(3000)


@pytest.mark.parametrize(
    ("base_url", "folder"),
    [
        ("https://api.codegen.com", "api.codegen.com/42"),
        ("https://api.codegen.com/v1/", "api.codegen.com/42"),
        (" https://API.codegen.com/ ", "api.codegen.com/42"),
        ("https://me@codegen.test/a/v1", "codegen.test%2Fa/42"),
        ("http://127.0.0.1:3002", "127.0.0.1%3A3002/42"),
    ],
)
def test_each_api_and_organization_has_a_folder_in_the_state_directory(
    tmp_path: Path, base_url: str, folder: str
) -> None:
    assert default_folder(base_url, 42, {"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "codegen-runs" / folder


@pytest.mark.parametrize("environment", [{}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}])
def test_without_a_state_directory_the_home_directory_has_one(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert default_folder("https://api.codegen.com", 1, environment) == (
        tmp_path / ".local" / "state" / "codegen-runs" / "api.codegen.com" / "1"
    )


def test_the_origin_of_tables_has_no_password() -> None:
    assert origin("https://me@codegen.test:8443/api/v1") == "https://codegen.test:8443/api"
