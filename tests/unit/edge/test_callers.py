import pytest

from codegen_runs.callers import DEPLOYMENT, Caller, token_in
from codegen_runs.roles import Role

CALLER = Caller(id="user:42", user_id=42, organizations=frozenset({7, 123}), token="a-token-that-opens-nothing")


def test_a_caller_is_unchanged_after_the_authorizer() -> None:
    assert Caller.from_context(CALLER.to_context(), CALLER.token) == CALLER


def test_a_caller_without_organizations_is_unchanged_after_the_authorizer() -> None:
    lonely = Caller(id="user:1", user_id=1, organizations=frozenset(), token="t")

    assert Caller.from_context(lonely.to_context(), "t") == lonely


def test_the_authorizers_context_has_only_strings_and_no_token() -> None:
    assert CALLER.to_context() == {
        "caller_id": "user:42",
        "user_id": "42",
        "organizations": "7,123",
        "kind": "codegen",
        "roles": "",
        "token_id": "",
    }


def test_the_context_has_the_roles_and_the_id_of_the_api_token() -> None:
    caller = Caller(
        id="user:42",
        user_id=42,
        organizations=frozenset({7, 123}),
        kind=DEPLOYMENT,
        roles={123: Role.ADMIN, 7: Role.VIEWER},
        token_id="tok-1",
    )

    assert caller.to_context()["roles"] == "7:viewer,123:admin"
    assert Caller.from_context(caller.to_context(), "the-secret") == caller


def test_a_context_from_before_roles_existed_can_be_read() -> None:
    old = {name: value for name, value in CALLER.to_context().items() if name not in ("roles", "token_id")}

    assert Caller.from_context(old, CALLER.token) == CALLER


def test_an_api_token_is_not_used_as_a_codegen_token() -> None:
    assert Caller.from_context(CALLER.to_context() | {"kind": "deployment"}, "a-token-of-ours").token == ""


def test_a_caller_without_any_token_cannot_send_requests_to_codegen() -> None:
    context = CALLER.to_context()

    assert Caller.from_context(context, "a-token").asks_codegen
    assert not Caller.from_context(context, "").asks_codegen
    assert Caller.from_context(context | {"kind": "deployment"}, "cgr_any").asks_codegen


def test_the_representation_of_a_caller_does_not_contain_the_token() -> None:
    assert CALLER.token not in repr(CALLER)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer abc"},
        {"authorization": "bearer abc"},
        {"AUTHORIZATION": "BEARER  abc "},
        {"X-API-Key": "abc"},
        {"x-api-key": " abc "},
        {"Authorization": "Bearer abc", "X-API-Key": "other"},
        {"Authorization": "Basic dXNlcjpwYXNz", "X-API-Key": "abc"},
    ],
)
def test_a_token_is_found_in_either_header_in_any_case(headers: dict[str, str]) -> None:
    assert token_in(headers) == "abc"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "abc"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic abc"},
        {"Authorization": "Digest abc"},
        {"X-API-Key": ""},
    ],
)
def test_other_headers_are_not_read_as_a_token(headers: dict[str, str]) -> None:
    assert token_in(headers) is None
