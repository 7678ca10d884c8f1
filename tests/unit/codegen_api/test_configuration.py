"""The sources of a client's settings: arguments, the environment, `~/.codegen/config.json`."""

import json
import os
import warnings
from pathlib import Path

import httpx
import pytest

from codegen_api import AsyncCodegenAPI, CodegenAPI, ConfigurationError, ConfigurationWarning

CLIENTS = pytest.mark.parametrize("client", [CodegenAPI, AsyncCodegenAPI])


@pytest.fixture
def file() -> Path:
    file = Path.home() / ".codegen" / "config.json"
    file.parent.mkdir(parents=True)
    return file


def write(file: Path, content: object, mode: int = 0o600) -> None:
    file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    file.chmod(mode)


def settings(client, *args, **kwargs):
    core = client(*args, **kwargs)._driver.core
    return core.org_id, core.token.header.removeprefix("Bearer "), core.base_url, core.timeout, core.retry.max_retries


EVERYTHING = {
    "org_id": "7",
    "token": "sk-of-the-file",
    "base_url": "https://file.test/v1",
    "timeout": 5,
    "max_retries": 1,
    "another_program": {"is": "welcome"},
}


@CLIENTS
def test_the_file_provides_settings_that_are_given_nowhere_else(client, file):
    write(file, EVERYTHING)

    assert settings(client) == (7, "sk-of-the-file", "https://file.test", httpx.Timeout(5), 1)


@CLIENTS
def test_arguments_precede_the_environment_which_precedes_the_file(client, file, monkeypatch):
    write(file, EVERYTHING)
    for name, value in (("ORG_ID", "8"), ("TOKEN", "sk-env"), ("TIMEOUT", "2.5"), ("MAX_RETRIES", "4")):
        monkeypatch.setenv(f"CODEGEN_{name}", value)

    assert settings(client) == (8, "sk-env", "https://file.test", httpx.Timeout(2.5), 4)
    monkeypatch.setenv("CODEGEN_BASE_URL", "https://env.test/")
    assert settings(client, 9, timeout=1.0) == (9, "sk-env", "https://env.test", httpx.Timeout(1), 4)


@CLIENTS
def test_settings_have_defaults_except_the_token(client):
    assert settings(client, token="sk-fake") == (None, "sk-fake", "https://api.codegen.com", httpx.Timeout(30), 3)
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        client()


def test_a_client_with_a_token_argument_does_not_read_the_file(file):
    """The organization in the file belongs to the token in the file, not to another one."""
    write(file, "not JSON")

    assert settings(CodegenAPI, token="sk-fake")[0] is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "must contain a JSON object"),
        ({"token": 7}, "the value of token has the wrong type"),
        ({"org_id": True}, "the value of org_id has the wrong type"),
        ({"org_id": "abc", "token": "sk-fake"}, "whole number"),
        ({"timeout": "soon", "token": "sk-fake"}, "the value of timeout has the wrong type"),
        ({"timeout": -1, "token": "sk-fake"}, "0 or more"),
        ({"base_url": "ftp://nowhere", "token": "sk-fake"}, "http"),
        ({"token": "with a space"}, "visible ASCII"),
    ],
)
def test_an_invalid_file_raises_an_error_that_names_the_problem(file, content, words):
    write(file, content)

    with pytest.raises(ConfigurationError, match=words) as caught:
        CodegenAPI()
    assert caught.value.__context__ is None or "sk-fake" not in str(caught.value.__context__)


@pytest.mark.parametrize("bytes_", [b"caf\xe9", None], ids=["no text", "a folder"])
def test_an_unreadable_file_raises_an_error_that_names_it(file, bytes_):
    if bytes_ is None:
        file.mkdir()
    else:
        file.write_bytes(bytes_)

    with pytest.raises(ConfigurationError, match=r"cannot read .*config\.json: "):
        CodegenAPI()


@pytest.mark.skipif(os.name != "posix", reason="files have no such permissions")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_token_that_other_users_can_read_causes_a_warning(file, mode):
    write(file, {"token": "sk-fake"}, mode)

    with pytest.warns(ConfigurationWarning, match="chmod 600") as caught:
        CodegenAPI()
    assert "sk-fake" not in str(caught[0].message)


def test_a_readable_file_without_a_token_causes_no_warning(file, monkeypatch):
    write(file, {"org_id": 7}, 0o644)
    monkeypatch.setenv("CODEGEN_TOKEN", "sk-fake")

    with warnings.catch_warnings():
        warnings.simplefilter("error", ConfigurationWarning)
        assert settings(CodegenAPI)[0] == 7


@pytest.mark.parametrize(("name", "value"), [("TIMEOUT", "soon"), ("TIMEOUT", "nan"), ("MAX_RETRIES", "-1")])
def test_an_invalid_number_in_the_environment_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"CODEGEN_{name}", value)

    with pytest.raises(ConfigurationError, match=f"CODEGEN_{name}"):
        CodegenAPI(token="sk-fake")


# --- what editors and shells add ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"org_id": 321, "token": "from-the-file"}',
        '{"org_id": 321, "token": "from-the-file"}'.encode("utf-16"),
        b'{"org_id": " 321\\r\\n",\r\n "token": "\\ufefffrom-the-file\\n"}\r\n',
    ],
    ids=["UTF-8 with a mark", "UTF-16", "blanks"],
)
def test_a_file_of_any_editor_is_read(file, content):
    file.write_bytes(content)
    file.chmod(0o600)
    core = CodegenAPI()._driver.core

    assert (core.org_id, core.token.header) == (321, "Bearer from-the-file")


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}\t", "\ufeff{}"])
def test_what_a_shell_adds_to_a_variable_is_left_out(file, monkeypatch, around):
    for name, value in {
        "CODEGEN_API_TOKEN": "from-a-variable",
        "CODEGEN_ORG_ID": "321",
        "CODEGEN_BASE_URL": "https://runs.test/v1/",
        "CODEGEN_TIMEOUT": "7",
        "CODEGEN_MAX_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, around.format(value))
    core = CodegenAPI()._driver.core

    assert (core.org_id, core.token.header, core.base_url) == (321, "Bearer from-a-variable", "https://runs.test")
    assert (core.timeout.read, core.retry.max_retries) == (7, 0)


def test_a_variable_of_blanks_is_not_set(file, monkeypatch):
    monkeypatch.setenv("CODEGEN_API_TOKEN", " \n")
    monkeypatch.setenv("CODEGEN_TOKEN", "from-a-variable")

    assert CodegenAPI(1)._driver.core.token.header == "Bearer from-a-variable"


def test_no_retries_in_the_file_are_no_retries(file):
    file.write_text('{"token": "from-the-file", "max_retries": 0, "timeout": 0.5}')
    file.chmod(0o600)
    core = CodegenAPI(1)._driver.core

    assert (core.retry.max_retries, core.timeout.read) == (0, 0.5)


@pytest.mark.parametrize("content", [b"", b"{", b"caf\xe9", b"[]", b'{"max_retries": "many"}', None])
def test_a_broken_file_is_ignored_with_a_warning_if_nothing_in_it_is_needed(file, monkeypatch, content):
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    monkeypatch.setenv("CODEGEN_API_TOKEN", "from-a-variable")
    monkeypatch.setenv("CODEGEN_ORG_ID", "321")
    with pytest.raises(ConfigurationError):
        CodegenAPI()

    monkeypatch.setenv("CODEGEN_BASE_URL", "https://runs.test")
    with pytest.warns(ConfigurationWarning, match=r"config\.json.*it was ignored"):
        assert CodegenAPI()._driver.core.token.header == "Bearer from-a-variable"
