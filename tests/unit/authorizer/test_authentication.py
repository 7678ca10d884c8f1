"""Find the caller of a token: what is asked, what is cached, and for how long."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest

from codegen_api import APIConnectionError, APITimeoutError, InvalidResponseError, RateLimitError, ServerError
from codegen_runs import upstream
from codegen_runs.access.authentication import (
    CHECK_SECONDS,
    FAILURE_SECONDS,
    MEMORY_SECONDS,
    REFUSAL_SECONDS,
    TABLE_SECONDS,
    Authenticator,
    TokenRefused,
    codegen_user,
)
from codegen_runs.callers import Caller
from codegen_runs.problems import CredentialsRefused, StorageUnavailable, TooManyRefusedTokens
from codegen_runs.storage.table import ABSENT, Condition, ConditionFailed
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


class CallersTable:
    """The callers table in memory."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.unavailable = False
        self.overtaken: Callable[[], object] | None = None
        """Called once, before the next write with a condition."""

    def get(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        if self.unavailable:
            raise StorageUnavailable
        return self.items.get(key["pk"])

    def put(self, item: dict[str, Any], condition: Condition | None = None) -> None:
        if self.unavailable:
            raise StorageUnavailable
        if condition and self.overtaken:
            overtaken, self.overtaken = self.overtaken, None
            overtaken()
        if condition and not self._holds(condition, self.items.get(item["pk"])):
            raise ConditionFailed
        self.items[item["pk"]] = item

    @staticmethod
    def _holds(condition: Condition, found: dict[str, Any] | None) -> bool:
        if condition == ABSENT or found is None:
            return condition == ABSENT and found is None
        if "rev" in found:
            return bool(found["rev"] == condition.values["seen"])
        return found.get("next_check_at") in (None, condition.values["seen"])


class Codegen:
    """The Codegen API, and how often it was asked."""

    def __init__(self) -> None:
        self.users = {"valid": ADA}
        self.asked = 0
        self.fault: Exception | None = None
        self.faults: list[Exception] = []

    def __call__(self, token: str, deadline: float, known: Caller | None = None) -> Caller:
        self.asked += 1
        if self.faults:
            raise self.faults.pop()
        if self.fault:
            raise self.fault
        if token not in self.users:
            raise TokenRefused
        return self.users[token]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table() -> CallersTable:
    return CallersTable()


@pytest.fixture
def codegen() -> Codegen:
    return Codegen()


@pytest.fixture
def authenticator(table: CallersTable, clock: Clock, codegen: Codegen) -> Authenticator:
    return Authenticator(table, clock, codegen)


def test_codegen_is_asked_once_for_a_caller(authenticator: Authenticator, codegen: Codegen) -> None:
    assert authenticator.caller("valid", deadline=5) == ADA
    assert authenticator.caller("valid", deadline=5) == ADA
    assert codegen.asked == 1


def test_another_process_uses_the_stored_caller(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)

    assert Authenticator(table, clock, codegen).caller("valid", deadline=5) == ADA
    assert codegen.asked == 1


def test_a_caller_is_stored_under_the_hash_of_the_token(authenticator: Authenticator, table: CallersTable) -> None:
    authenticator.caller("valid", deadline=5)

    (item,) = table.items.values()
    assert item == {
        "pk": f"token#{hashlib.sha256(b'valid').hexdigest()}",
        **ADA.to_context(),
        "verified_at": 1_000_000,
        "next_check_at": 1_000_000 + TABLE_SECONDS,
        "failing": False,
        "expires_at": 1_000_000 + 24 * 3600,
    }
    assert "valid" not in str(item)


def test_an_expired_entry_is_ignored_although_dynamodb_still_has_it(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    codegen.users = {"valid": Caller("user:1", 1, frozenset())}

    assert authenticator.caller("valid", deadline=5).id == "user:1"
    assert Authenticator(table, clock, codegen).caller("valid", deadline=5).id == "user:1"


def test_the_memory_of_a_process_expires_no_later_than_the_table(
    table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    Authenticator(table, clock, codegen).caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS - 1)
    late = Authenticator(table, clock, codegen)
    late.caller("valid", deadline=5)
    codegen.users = {}
    clock.sleep(1)

    with pytest.raises(TokenRefused):
        late.caller("valid", deadline=5)


def test_a_caller_whose_entry_was_deleted_is_refused_within_a_minute(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)
    table.items.clear()
    codegen.users = {}
    clock.sleep(MEMORY_SECONDS)

    with pytest.raises(TokenRefused):
        authenticator.caller("valid", deadline=5)


def test_a_refusal_is_cached_for_a_minute(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    for _ in range(3):
        with pytest.raises(TokenRefused):
            authenticator.caller("nobodys", deadline=5)
    assert codegen.asked == 1
    assert [item["refused"] for item in table.items.values()] == [True]

    codegen.users["nobodys"] = ADA
    clock.sleep(REFUSAL_SECONDS)
    assert authenticator.caller("nobodys", deadline=5) == ADA


@pytest.mark.parametrize("token", ["", "with a space", "line\nbreak", "\u00fcmlaut", "x" * 5000])
def test_a_text_that_no_header_can_contain_is_refused_without_a_call(
    token: str, authenticator: Authenticator, codegen: Codegen
) -> None:
    with pytest.raises(TokenRefused):
        authenticator.caller(token, deadline=5)
    assert codegen.asked == 0


def test_a_cached_caller_is_admitted_while_the_upstream_is_down(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)
    codegen.fault = ServerError("down", status_code=500)
    clock.sleep(TABLE_SECONDS - 1)

    assert authenticator.caller("valid", deadline=5) == ADA
    with pytest.raises(ServerError):
        authenticator.caller("other", deadline=5)


def test_a_caller_is_cached_for_minutes_and_a_refusal_for_one() -> None:
    assert (TABLE_SECONDS, MEMORY_SECONDS, REFUSAL_SECONDS) == (300, 60, 60)


def test_a_failure_is_not_cached(authenticator: Authenticator, codegen: Codegen) -> None:
    codegen.fault = ServerError("down", status_code=500)
    with pytest.raises(ServerError):
        authenticator.caller("valid", deadline=5)

    codegen.fault = None
    assert authenticator.caller("valid", deadline=5) == ADA


def test_callers_are_found_while_the_table_is_unavailable(authenticator: Authenticator, table: CallersTable) -> None:
    table.unavailable = True

    assert authenticator.caller("valid", deadline=5) == ADA


def test_the_memory_has_a_limit(authenticator: Authenticator) -> None:
    for number in range(2_500):
        with pytest.raises(TokenRefused):
            authenticator.caller(f"guess-{number}", deadline=5)

    assert len(authenticator._memory) <= 1_000


@pytest.mark.parametrize(
    "fault",
    [
        ServerError("down", status_code=500),
        RateLimitError("slow down", status_code=429),
        APITimeoutError("too late"),
        APIConnectionError("refused"),
        InvalidResponseError("not JSON", status_code=200),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_a_stale_caller_is_unconfirmed_while_the_upstream_fails(
    fault: Exception, authenticator: Authenticator, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    codegen.fault = fault

    assert authenticator.caller("valid", deadline=5) == replace(ADA, unconfirmed_since="1970-01-12T13:46:40.000Z")

    codegen.fault = None
    clock.sleep(FAILURE_SECONDS)
    assert authenticator.caller("valid", deadline=5) == ADA


def test_one_failure_of_a_check_is_no_outage(authenticator: Authenticator, clock: Clock, codegen: Codegen) -> None:
    authenticator.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    codegen.faults = [APIConnectionError("reset")]

    assert authenticator.caller("valid", deadline=5) == ADA
    assert codegen.asked == 3


def test_a_check_is_repeated_once_before_it_counts_as_failed_and_not_during_the_outage(
    authenticator: Authenticator, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    codegen.fault = APIConnectionError("reset")

    assert authenticator.caller("valid", deadline=5).unconfirmed_since
    assert codegen.asked == 3
    clock.sleep(FAILURE_SECONDS)
    assert authenticator.caller("valid", deadline=5).unconfirmed_since
    assert codegen.asked == 4


def test_a_check_that_fails_late_is_not_repeated(table: CallersTable, clock: Clock, codegen: Codegen) -> None:
    def hang(token: str, deadline: float, known: Caller | None) -> Caller:
        if known is None:
            return codegen(token, deadline)
        codegen.asked += 1
        clock.sleep(deadline)
        raise APITimeoutError("timed out")

    authenticator = Authenticator(table, clock, hang)
    authenticator.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    asked_at = clock.now()

    assert authenticator.caller("valid", deadline=28).unconfirmed_since
    assert clock.now() - asked_at == CHECK_SECONDS
    assert codegen.asked == 2


def test_of_two_processes_at_the_same_time_one_checks_a_stale_caller(
    table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    seen = []

    def meanwhile(token: str, deadline: float, known: Caller | None) -> Caller:
        if clock.now() > 1_000_001:
            seen.append(Authenticator(table, clock, codegen).caller("valid", deadline))
        return codegen(token, deadline)

    first = Authenticator(table, clock, meanwhile)
    first.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)

    assert first.caller("valid", deadline=5) == ADA
    assert (seen, codegen.asked) == ([ADA], 2)


def test_of_two_processes_that_read_the_row_at_the_same_time_one_checks_the_caller(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    table.overtaken = lambda: Authenticator(table, clock, codegen).caller("valid", deadline=5)

    assert authenticator.caller("valid", deadline=5) == ADA
    assert codegen.asked == 2


def test_a_process_that_dies_during_its_check_delays_the_next_check_by_seconds(
    table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    class Killed(BaseException):
        """The process is killed."""

    def die(token: str, deadline: float, known: Caller | None) -> Caller:
        raise Killed

    Authenticator(table, clock, codegen).caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    with pytest.raises(Killed):
        Authenticator(table, clock, die).caller("valid", deadline=5)
    codegen.users = {}

    assert Authenticator(table, clock, codegen).caller("valid", deadline=5) == ADA
    clock.sleep(CHECK_SECONDS + FAILURE_SECONDS)
    with pytest.raises(TokenRefused):
        Authenticator(table, clock, codegen).caller("valid", deadline=5)


def test_a_check_of_a_stale_caller_takes_some_seconds_at_most(
    table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    deadlines = []

    def find(token: str, deadline: float, known: Caller | None) -> Caller:
        deadlines.append(deadline)
        return codegen(token, deadline)

    authenticator = Authenticator(table, clock, find)
    for _ in range(2):
        authenticator.caller("valid", deadline=28)
        clock.sleep(TABLE_SECONDS)
    assert deadlines == [28, CHECK_SECONDS]


def test_a_row_of_an_earlier_version_is_stale_when_it_says(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    key = f"token#{hashlib.sha256(b'valid').hexdigest()}"
    table.items[key] = {"pk": key, **ADA.to_context(), "expires_at": 1_000_000 + 10}

    assert authenticator.caller("valid", deadline=5) == ADA
    assert codegen.asked == 0
    clock.sleep(10)
    assert authenticator.caller("valid", deadline=5) == ADA
    assert codegen.asked == 1


def test_an_error_of_this_deployment_is_no_outage_of_the_upstream(
    authenticator: Authenticator, table: CallersTable, clock: Clock, codegen: Codegen
) -> None:
    authenticator.caller("valid", deadline=5)
    clock.sleep(TABLE_SECONDS)
    before = dict(table.items)
    codegen.fault = CredentialsRefused("The deployment's token is refused.")

    for _ in range(2):
        with pytest.raises(CredentialsRefused):
            authenticator.caller("valid", deadline=5)
    assert table.items == before


class TestAskingCodegen:
    @pytest.fixture(autouse=True)
    def _upstream(self, fake: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name, value in template().functions["Authorize"].environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
        with upstream.over(FakeTransport(fake)):
            yield

    def test_the_caller_of_a_codegen_token_is_its_user_with_all_organizations(self) -> None:
        assert codegen_user(DEMO_TOKEN, deadline=5) == ADA

    def test_organizations_beyond_the_first_page_are_included(self) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v1/users/me":
                return httpx.Response(200, json={"id": 1, "github_user_id": "1", "github_username": "a"})
            skip = int(request.url.params["skip"])
            items = [{"id": n, "name": "n", "settings": {}} for n in range(skip, min(skip + 100, 250))]
            return httpx.Response(200, json={"items": items, "total": 250, "page": 1, "size": 100, "pages": 3})

        with upstream.over(httpx.MockTransport(answer)):
            assert codegen_user("valid", deadline=5).organizations == frozenset(range(250))

    def test_a_token_that_codegen_does_not_know_is_refused(self) -> None:
        with pytest.raises(TokenRefused):
            codegen_user("nobodys", deadline=5)

    def test_a_user_who_may_not_read_their_own_user_is_refused(self, fake: FakeCodegen) -> None:
        fake.troubles.add("*", Trouble("error", status=403))

        with pytest.raises(TokenRefused):
            codegen_user(DEMO_TOKEN, deadline=5)

    @pytest.mark.parametrize(("status", "error"), [(500, ServerError), (429, RateLimitError)])
    def test_a_failure_of_the_upstream_is_not_a_refusal(
        self, fake: FakeCodegen, status: int, error: type[Exception]
    ) -> None:
        fake.troubles.add("*", Trouble("error", status=status))

        with pytest.raises(error):
            codegen_user(DEMO_TOKEN, deadline=5)


# --- a flood of invalid tokens ---------------------------------------------------------------------------------------

MOST = 20


@pytest.fixture
def guarded(table: CallersTable, clock: Clock, codegen: Codegen) -> Callable[[], Authenticator]:
    """Another process of the authorizer, each time."""
    return lambda: Authenticator(table, clock, codegen, most_refused=MOST)


def flood(authenticator: Callable[[], Authenticator], addresses: Iterable[str]) -> list[str]:
    """Send an invalid token from each address, to a process each, and return what became of it."""
    answers = []
    for number, address in enumerate(addresses):
        try:
            authenticator().caller(f"invalid-{number}", 5, address)
        except (TokenRefused, TooManyRefusedTokens) as refusal:
            answers.append(type(refusal).__name__)
    return answers


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param(["192.0.2.7"] * 60, id="IPv4"),
        pytest.param(["2001:db8::7"] * 60, id="IPv6"),
        pytest.param([f"2001:db8:0:0:{number:x}::1" for number in range(1, 61)], id="IPv6 of one host"),
    ],
)
def test_a_flood_of_invalid_tokens_does_not_reach_codegen(
    addresses: list[str], guarded: Callable[[], Authenticator], codegen: Codegen
) -> None:
    answers = flood(guarded, addresses)

    assert answers == ["TokenRefused"] * MOST + ["TooManyRefusedTokens"] * (60 - MOST)
    assert codegen.asked == MOST


def test_a_refused_token_is_not_checked_again_by_another_process(
    guarded: Callable[[], Authenticator], codegen: Codegen, clock: Clock
) -> None:
    for _ in range(5):
        with pytest.raises(TokenRefused):
            guarded().caller("invalid", 5, "192.0.2.7")
    assert codegen.asked == 1
    clock.sleep(REFUSAL_SECONDS)
    with pytest.raises(TokenRefused):
        guarded().caller("invalid", 5, "192.0.2.7")
    assert codegen.asked == 2


def test_during_a_flood_known_tokens_and_other_addresses_are_served(
    guarded: Callable[[], Authenticator], codegen: Codegen
) -> None:
    codegen.users |= {"new": ADA}
    guarded().caller("valid", 5, "192.0.2.7")
    flood(guarded, ["192.0.2.7"] * 60)

    assert guarded().caller("valid", 5, "192.0.2.7") == ADA
    with pytest.raises(TooManyRefusedTokens) as refused:
        guarded().caller("new", 5, "192.0.2.7")
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= REFUSAL_SECONDS
    assert guarded().caller("new", 5, "192.0.2.8") == ADA


def test_after_a_minute_the_address_may_try_again(guarded: Callable[[], Authenticator], clock: Clock) -> None:
    process = guarded()
    flood(lambda: process, ["192.0.2.7"] * 60)
    clock.sleep(REFUSAL_SECONDS)

    assert process.caller("valid", 5, "192.0.2.7") == ADA


def test_valid_tokens_and_failures_of_codegen_do_not_count(
    guarded: Callable[[], Authenticator], codegen: Codegen
) -> None:
    codegen.users |= {f"valid-{number}": ADA for number in range(60)}
    for number in range(60):
        assert guarded().caller(f"valid-{number}", 5, "192.0.2.7") == ADA
    codegen.fault = APITimeoutError("Too slow.")
    for number in range(60):
        with pytest.raises(APITimeoutError):
            guarded().caller(f"unknown-{number}", 5, "192.0.2.7")
    codegen.fault = None

    assert flood(guarded, ["192.0.2.7"]) == ["TokenRefused"]


def test_if_attempts_cannot_be_counted_tokens_are_checked(
    guarded: Callable[[], Authenticator], table: CallersTable
) -> None:
    table.unavailable = True

    assert guarded().caller("valid", 5, "192.0.2.7") == ADA
