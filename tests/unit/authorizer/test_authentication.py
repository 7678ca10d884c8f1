"""From a token to its caller: what is asked, what is remembered, and for how long."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from codegen_api import RateLimitError, ServerError
from codegen_runs import upstream
from codegen_runs.access.authentication import (
    MEMORY_SECONDS,
    REFUSAL_SECONDS,
    TABLE_SECONDS,
    Authenticator,
    TokenRefused,
    codegen_user,
)
from codegen_runs.callers import Caller
from codegen_runs.problems import StorageUnavailable
from local.fake_codegen import (
    DEMO_ORG_ID,
    DEMO_TOKEN,
    DEMO_USER_ID,
    EMPTY_ORG_ID,
    FakeCodegen,
    FakeTransport,
    Trouble,
)
from tests.support.backend import template

ADA = Caller(f"user:{DEMO_USER_ID}", DEMO_USER_ID, frozenset({DEMO_ORG_ID, EMPTY_ORG_ID}))


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.5

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Shelf:
    """The callers table in memory."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.away = False

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        if self.away:
            raise StorageUnavailable
        return self.items.get(key["pk"])

    def put(self, item: dict[str, Any]) -> None:
        if self.away:
            raise StorageUnavailable
        self.items[item["pk"]] = item


class Upstream:
    """Whose token it is, and how often that was asked."""

    def __init__(self) -> None:
        self.users = {"hers": ADA}
        self.asked = 0
        self.fault: Exception | None = None

    def __call__(self, token: str, deadline: float) -> Caller:
        self.asked += 1
        if self.fault:
            raise self.fault
        if token not in self.users:
            raise TokenRefused
        return self.users[token]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def ask() -> Upstream:
    return Upstream()


@pytest.fixture
def authenticator(shelf: Shelf, clock: Clock, ask: Upstream) -> Authenticator:
    return Authenticator(shelf, clock, ask)


def test_a_caller_is_asked_for_once(authenticator: Authenticator, ask: Upstream) -> None:
    assert authenticator.caller("hers", deadline=5) == ADA
    assert authenticator.caller("hers", deadline=5) == ADA
    assert ask.asked == 1


def test_another_process_reads_what_the_first_one_found_out(
    authenticator: Authenticator, shelf: Shelf, clock: Clock, ask: Upstream
) -> None:
    authenticator.caller("hers", deadline=5)

    assert Authenticator(shelf, clock, ask).caller("hers", deadline=5) == ADA
    assert ask.asked == 1


def test_what_is_stored_is_the_caller_under_the_hash_of_the_token(authenticator: Authenticator, shelf: Shelf) -> None:
    authenticator.caller("hers", deadline=5)

    (item,) = shelf.items.values()
    assert item == {
        "pk": f"token#{hashlib.sha256(b'hers').hexdigest()}",
        **ADA.to_context(),
        "expires_at": 1_000_000 + TABLE_SECONDS,
    }
    assert "hers" not in str(item)


def test_what_expired_is_not_believed_though_dynamodb_still_has_it(
    authenticator: Authenticator, shelf: Shelf, clock: Clock, ask: Upstream
) -> None:
    authenticator.caller("hers", deadline=5)
    clock.sleep(TABLE_SECONDS)
    ask.users = {"hers": Caller("user:1", 1, frozenset())}

    assert authenticator.caller("hers", deadline=5).id == "user:1"
    assert Authenticator(shelf, clock, ask).caller("hers", deadline=5).id == "user:1"


def test_no_process_believes_longer_than_the_table(shelf: Shelf, clock: Clock, ask: Upstream) -> None:
    Authenticator(shelf, clock, ask).caller("hers", deadline=5)
    clock.sleep(TABLE_SECONDS - 1)
    late = Authenticator(shelf, clock, ask)
    late.caller("hers", deadline=5)
    ask.users = {}
    clock.sleep(1)

    with pytest.raises(TokenRefused):
        late.caller("hers", deadline=5)


def test_a_caller_whose_entry_in_the_table_was_deleted_is_forgotten_within_a_minute(
    authenticator: Authenticator, shelf: Shelf, clock: Clock, ask: Upstream
) -> None:
    authenticator.caller("hers", deadline=5)
    shelf.items.clear()
    ask.users = {}
    clock.sleep(MEMORY_SECONDS)

    with pytest.raises(TokenRefused):
        authenticator.caller("hers", deadline=5)


def test_a_refused_token_is_not_asked_about_again_at_once_and_never_stored(
    authenticator: Authenticator, shelf: Shelf, clock: Clock, ask: Upstream
) -> None:
    for _ in range(3):
        with pytest.raises(TokenRefused):
            authenticator.caller("nobodys", deadline=5)
    assert (ask.asked, shelf.items) == (1, {})

    ask.users["nobodys"] = ADA
    clock.sleep(REFUSAL_SECONDS)
    assert authenticator.caller("nobodys", deadline=5) == ADA


@pytest.mark.parametrize("token", ["", "with a space", "line\nbreak", "\u00fcmlaut", "x" * 5000])
def test_what_no_header_can_carry_is_refused_without_asking(
    token: str, authenticator: Authenticator, ask: Upstream
) -> None:
    with pytest.raises(TokenRefused):
        authenticator.caller(token, deadline=5)
    assert ask.asked == 0


def test_a_remembered_caller_does_not_notice_that_the_upstream_is_down(
    authenticator: Authenticator, shelf: Shelf, clock: Clock, ask: Upstream
) -> None:
    authenticator.caller("hers", deadline=5)
    ask.fault = ServerError("down", status_code=500)
    clock.sleep(TABLE_SECONDS - 1)

    assert authenticator.caller("hers", deadline=5) == ADA
    with pytest.raises(ServerError):
        authenticator.caller("other", deadline=5)


def test_a_failure_is_not_remembered(authenticator: Authenticator, ask: Upstream) -> None:
    ask.fault = ServerError("down", status_code=500)
    with pytest.raises(ServerError):
        authenticator.caller("hers", deadline=5)

    ask.fault = None
    assert authenticator.caller("hers", deadline=5) == ADA


def test_callers_are_told_without_the_table(authenticator: Authenticator, shelf: Shelf) -> None:
    shelf.away = True

    assert authenticator.caller("hers", deadline=5) == ADA


def test_memory_is_bounded(authenticator: Authenticator) -> None:
    for number in range(2_500):
        with pytest.raises(TokenRefused):
            authenticator.caller(f"guess-{number}", deadline=5)

    assert len(authenticator._memory) <= 1_000


class TestAskingCodegen:
    @pytest.fixture(autouse=True)
    def _upstream(self, fake: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name, value in template().functions["Authorize"].environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
        with upstream.over(FakeTransport(fake)):
            yield

    def test_a_codegen_token_is_its_user_with_all_her_organizations(self) -> None:
        assert codegen_user(DEMO_TOKEN, deadline=5) == ADA

    def test_organizations_beyond_the_first_page_count(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v1/users/me":
                return httpx.Response(200, json={"id": 1, "github_user_id": "1", "github_username": "a"})
            skip = int(request.url.params["skip"])
            items = [{"id": n, "name": "n", "settings": {}} for n in range(skip, min(skip + 100, 250))]
            return httpx.Response(200, json={"items": items, "total": 250, "page": 1, "size": 100, "pages": 3})

        with upstream.over(httpx.MockTransport(answer)):
            assert codegen_user("hers", deadline=5).organizations == frozenset(range(250))

    def test_a_token_that_codegen_does_not_know_is_refused(self) -> None:
        with pytest.raises(TokenRefused):
            codegen_user("nobodys", deadline=5)

    def test_a_user_who_may_not_even_ask_who_she_is_is_refused(self, fake: FakeCodegen) -> None:
        fake.troubles.add("*", Trouble("error", status=403))

        with pytest.raises(TokenRefused):
            codegen_user(DEMO_TOKEN, deadline=5)

    @pytest.mark.parametrize(("status", "error"), [(500, ServerError), (429, RateLimitError)])
    def test_an_upstream_in_trouble_refuses_nobody(
        self, fake: FakeCodegen, status: int, error: type[Exception]
    ) -> None:
        fake.troubles.add("*", Trouble("error", status=status))

        with pytest.raises(error):
            codegen_user(DEMO_TOKEN, deadline=5)
