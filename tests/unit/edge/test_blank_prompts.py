"""A prompt that shows nothing starts no agent, on any route that takes a prompt."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.backend import Backend
from codegen_runs.bodies import is_blank
from tests.support.backend import environment
from tests.support.events import call, rest, working_with
from tests.support.handlers import handler
from tests.support.wire import Wire

ORG = "/v1/organizations/123"
BLANKS = ["", "   ", "\n\t", "\u00a0", "\u2003\u3000", "\u200b", "\ufeff", "\u2060\u00ad", "\u2800", "\u3164", "\x00"]


def prompted(name: str, path: str, field: str = "prompt", **more: Any) -> Any:
    return pytest.param(name, path, field, more, id=f"{name} {path}")


# Every handler that sends a prompt to an agent, with each of its paths that reads the prompt differently.
OPERATIONS = [
    prompted("agent_runs/create", f"{ORG}/agent/run"),
    prompted("agent_runs/create", "/organizations/123/agent/run"),
    prompted("agent_runs/resume", f"{ORG}/agent/run/resume", agent_run_id=7),
    prompted("agent_runs/resume", f"{ORG}/agent/run/7/resume"),
    prompted("agent_runs/resume", "/api/runs/7/resume"),
    prompted("run_cards/create", f"{ORG}/run-cards"),
    prompted("run_cards/create", "/create_agent_run/ask/Hello"),
    prompted("run_cards/resume", f"{ORG}/run-cards/7/resume"),
    prompted("run_cards/resume", "/resume_agent_run/7/Hello"),
    prompted("setup_commands/generate", f"{ORG}/setup-commands/generate", repo_id=1),
    prompted("setup_commands/generate", "/v1/setup-commands", repo_id=1),
    prompted("multi_runs/create", f"{ORG}/multi-runs"),
    prompted("multi_runs/create", f"{ORG}/multi-runs", "synthesis.prompt", prompt="Hello"),
    prompted("multi_runs/create", f"{ORG}/multi-runs", "variants.prompt", prompt="Hello"),
    prompted("checkpoints/fork", "/api/checkpoints/ck-1/fork", "modifications.modified_query"),
    prompted("checkpoints/restore", "/api/checkpoints/ck-1/restore", "modifications.modified_query"),
]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    with working_with(Backend()):
        yield


@pytest.mark.parametrize("blank", BLANKS, ids=ascii)
@pytest.mark.parametrize(("name", "path", "field", "more"), OPERATIONS)
def test_a_blank_prompt_is_refused_and_nothing_is_sent(
    name: str, path: str, field: str, more: dict[str, Any], blank: str, wire: Wire
) -> None:
    outer, _, inner = field.rpartition(".")
    nested = {inner: blank}
    body = more | ({outer: [nested] if outer == "variants" else nested} if outer else nested)

    answer = call(handler(name), rest("POST", path, body=body))

    assert (answer.status, answer.json["code"]) == (422, "validation_failed")
    assert answer.json["errors"][0]["pointer"].endswith(f"/{inner}")
    assert wire.requests == []


@pytest.mark.parametrize("blank", ["%20", "%E2%80%8B", "%E3%80%80%20"])
@pytest.mark.parametrize(
    ("name", "path"), [("run_cards/create", "/create_agent_run/ask/"), ("run_cards/resume", "/resume_agent_run/7/")]
)
def test_a_blank_prompt_in_the_path_is_refused(name: str, path: str, blank: str, wire: Wire) -> None:
    answer = call(handler(name), rest("POST", path + blank))

    assert (answer.status, answer.json["code"]) == (422, "validation_failed")
    assert wire.requests == []


@pytest.mark.parametrize("text", ["?", "\u200b.", "\u0645\u0631\u062d\u0628\u0627", "\U0001f600", "\ue000", "1"])
def test_a_text_with_a_visible_character_is_not_blank(text: str) -> None:
    assert not is_blank(text)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), min_size=1), st.sampled_from(BLANKS))
def test_blanks_around_a_text_do_not_make_it_blank(text: str, blank: str) -> None:
    assert is_blank(f"{blank}{text}{blank}") is is_blank(text)
