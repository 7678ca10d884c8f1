import http
import re
from collections.abc import Iterator

import pytest

from codegen_runs import problems
from codegen_runs.problems import Conflict, NotFound, Problem, RateLimited, Unprocessable, render


def children(kind: type[Problem]) -> Iterator[type[Problem]]:
    for child in kind.__subclasses__():
        yield child
        yield from children(child)


KINDS = [kind for kind in children(Problem) if kind.__module__ == problems.__name__]


def test_a_problem_has_members_for_people_programs_and_codegens_clients() -> None:
    problem = NotFound("Agent run not found.", upstream={"status": 404, "message": "gone", "request_id": None})

    assert render(problem, "/v1/organizations/1/agent/run/7", "abc") == {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "Agent run not found.",
        "instance": "/v1/organizations/1/agent/run/7",
        "code": "not_found",
        "request_id": "abc",
        "retryable": False,
        "remedy": "Check the id.",
        "message": "Agent run not found.",
        "status_code": 404,
        "upstream": {"status": 404, "message": "gone", "request_id": None},
    }


def test_errors_are_listed_in_fastapis_form_and_as_pointers() -> None:
    fault = {"loc": ["body", "a/b", 0], "msg": "Field required", "type": "missing"}

    body = render(Unprocessable(errors=[fault]), "/", "abc")

    assert body["detail"] == [fault]
    assert body["errors"] == [{"pointer": "/body/a~1b/0", "detail": "Field required"}]
    assert body["message"] == "body.a/b.0: Field required"


def test_an_instance_can_override_its_class() -> None:
    body = render(RateLimited("Wait.", retryable=False, remedy="Look first.", position=3), "/", "abc")

    assert (body["retryable"], body["remedy"], body["position"]) == (False, "Look first.", 3)
    assert RateLimited.retryable


def test_an_unregistered_error_is_an_internal_error() -> None:
    assert problems.of(KeyError("secret")).detail == "Internal server error."


def test_an_error_is_answered_like_its_nearest_registered_parent() -> None:
    class GrandparentError(Exception): ...

    class ParentError(GrandparentError): ...

    class ChildError(ParentError): ...

    problems.converts(GrandparentError)(lambda _: NotFound("far"))
    problems.converts(ParentError)(lambda _: Conflict("near"))

    assert problems.of(ChildError()).detail == "near"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_problem_has_a_title_and_a_remedy(kind: type[Problem]) -> None:
    assert http.HTTPStatus(kind.status) >= 400
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert kind.title
    assert kind.remedy


def test_every_problem_has_its_own_code() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)
