"""Advice names commands and options, and nothing of HTTP."""

import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import httpx
import pytest

import codegen_runs
from codegen_cli import advice
from codegen_cli.root import commands
from codegen_runs.problems import Problem
from tests.unit.codegen_cli.conftest import Run

OF_REQUESTS = re.compile(
    r"[Ss]end\b|[Hh]eader|\b(GET|POST|PATCH|PUT|DELETE)\b|/v1|/docs|Retry-After|[{}`]|parameter|fields?\b|cursor|ETag|_id\b|Omit"
)
# Of connections and tickets, which the command line does not use.
OF_OTHERS = re.compile(r"ticket|subscri|connection|stream|Connect again|Retry\.|key")


def problems(of: type[Problem] = Problem) -> Iterator[type[Problem]]:
    for kind in of.__subclasses__():
        yield kind
        yield from problems(kind)


def test_the_advice_about_each_problem_is_for_people_who_type_commands() -> None:
    for module in walk_packages(codegen_runs.__path__, "codegen_runs."):
        import_module(module.name)
    found = {kind.code: kind.remedy for kind in problems()}

    assert len(found) > 50
    shown = {code: advice.OWN.get(code, remedy) for code, remedy in found.items()}
    assert {
        code: text
        for code, text in shown.items()
        if OF_REQUESTS.search(re.sub(r"`[^`]*`", "", text)) and not OF_OTHERS.search(found[code])
    } == {}


def test_the_commands_that_advice_names_exist() -> None:
    named = {each for text in advice.OWN.values() for each in re.findall(r"codegen-runs ([a-z-]+(?: [a-z-]+)?)", text)}

    assert len(named) > 10
    for line in named:
        group, _, name = line.partition(" ")
        command: Any = commands.commands[group]
        assert not name or name in command.commands, line


def test_a_refused_cancel_names_the_option(at_deployment: Run, answers: list[Any]) -> None:
    refusal = {
        "code": "cancel_needs_pr_ban",
        "message": "The run has been launched.",
        "remedy": 'Send {"allow_pr_ban": true} to accept the side effects, or let the run continue.',
    }
    card = {"id": 7, "status": "running"}
    answers += [card, card, httpx.Response(409, json=refusal), card]

    done = at_deployment("cancel", "7")

    assert (done.exit_code, done.stderr) == (
        1,
        "Error: The run has been launched. Add --allow-pr-ban to allow the ban, or let the run continue.\n",
    )


def test_a_failure_of_the_server_names_its_request(at_deployment: Run, answers: list[Any]) -> None:
    failure = {"code": "internal_error", "message": "Internal server error"}
    answers[:] = [httpx.Response(500, json=failure, headers={"X-Request-Id": "req-7"})]

    done = at_deployment("multi-run", "list")

    assert done.exit_code == 1
    assert "(request id: req-7)" in done.stderr


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "Refused. The server http://codegen.test refused CODEGEN_TOKEN: "),
        (402, "Refused. Upgrade the organization's plan at Codegen."),
        (403, "Refused. This is about organization 123, from CODEGEN_ORG_ID."),
        (404, "Refused. Check the id."),
    ],
)
def test_errors_of_the_codegen_api_have_advice_too(
    at_deployment: Run, answers: list[Any], status: int, advice: str
) -> None:
    answers += [httpx.Response(status, json={"message": "Refused", "status_code": status})]

    assert at_deployment("multi-run", "list").stderr.startswith(f"Error: {advice}")


def test_a_setting_that_is_missing_names_the_command_or_the_option(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODEGEN_ORG_ID")
    no_organization = run("list")
    monkeypatch.delenv("CODEGEN_TOKEN")
    no_token = run("list")

    assert no_organization.stderr == (
        "Error: There is no organization. Name it with --org-id, or set CODEGEN_ORG_ID.\n"
    )
    assert no_token.stderr == (
        "Error: There is no token. Log in with `codegen-runs auth login`, or set CODEGEN_API_TOKEN.\n"
    )
    assert (no_organization.exit_code, no_token.exit_code) == (2, 2)


def test_an_invalid_value_is_named_as_the_option_is(at_deployment: Run, answers: list[Any]) -> None:
    fault = {"loc": ["query", "created_after"], "msg": "Input should be a date", "type": "date"}
    answers += [httpx.Response(422, json={"code": "validation_failed", "detail": [fault], "remedy": "Correct it."})]

    refused = at_deployment("run", "list", "--created-after", "2026")

    assert refused.stderr == "Error: Created-after: Input should be a date.\n"
