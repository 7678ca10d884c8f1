"""Tickets: one use, one minute, one subject; and the key that resumes a stream."""

from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from codegen_runs.backend import Backend
from codegen_runs.live.tickets import STREAM_SECONDS, TICKET_SECONDS, Subject, TicketForAnother, TicketRefused, Tickets
from local.template import Template
from tests.support.backend import TestClock
from tests.support.events import CALLER, TOKEN

RUN = Subject(123, agent_run_id=7)
MULTI_RUN = Subject(123, multi_run_id="mr-1")


@pytest.fixture
def tickets(deployed: Template, clock: TestClock) -> Tickets:
    return Tickets(Backend(clock=clock))


@pytest.mark.parametrize("subject", [RUN, MULTI_RUN])
def test_a_ticket_admits_its_caller_to_its_subject_without_a_token(tickets: Tickets, subject: Subject) -> None:
    ticket, _ = tickets.issue(CALLER, subject)
    admission = tickets.redeem(ticket)

    assert admission.subject == subject
    assert admission.caller.id == CALLER.id
    assert admission.caller.organizations == {123}
    assert admission.caller.token == ""


def test_a_ticket_is_valid_once(tickets: Tickets) -> None:
    ticket, _ = tickets.issue(CALLER, RUN)
    tickets.redeem(ticket, RUN)

    with pytest.raises(TicketRefused):
        tickets.redeem(ticket, RUN)
    with pytest.raises(TicketRefused):
        tickets.redeem(ticket)


def test_of_many_simultaneous_uses_of_a_ticket_one_is_admitted(tickets: Tickets) -> None:
    ticket, _ = tickets.issue(CALLER, RUN)

    def show(_: int) -> bool:
        try:
            tickets.redeem(ticket, RUN)
        except TicketRefused:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(show, range(8))) == 1


def test_a_ticket_is_valid_for_a_minute(tickets: Tickets, clock: TestClock) -> None:
    early, expires_at = tickets.issue(CALLER, RUN)
    late, _ = tickets.issue(CALLER, RUN)
    assert expires_at == int(clock.now()) + TICKET_SECONDS
    clock.sleep(TICKET_SECONDS - 1)
    tickets.redeem(early, RUN)
    clock.sleep(1)

    with pytest.raises(TicketRefused):
        tickets.redeem(late, RUN)


@pytest.mark.parametrize("other", [Subject(123, agent_run_id=8), Subject(124, agent_run_id=7), MULTI_RUN])
def test_a_ticket_used_elsewhere_stays_valid_for_its_own_subject(tickets: Tickets, other: Subject) -> None:
    ticket, _ = tickets.issue(CALLER, RUN)

    with pytest.raises(TicketForAnother):
        tickets.redeem(ticket, other)
    tickets.redeem(ticket, RUN)


@pytest.mark.parametrize("nonsense", ["", "x", "ä" * 5000, "ticket#"])
def test_an_invented_ticket_is_refused(tickets: Tickets, nonsense: str) -> None:
    with pytest.raises(TicketRefused):
        tickets.redeem(nonsense, RUN)


def test_neither_a_ticket_nor_a_stream_key_nor_a_token_is_stored(tickets: Tickets, deployed: Template) -> None:
    ticket, _ = tickets.issue(CALLER, RUN)
    key = tickets.open_stream(tickets.redeem(ticket))
    kept, _ = tickets.issue(CALLER, RUN)
    stored = str(boto3.client("dynamodb").scan(TableName=deployed.tables["CallersTable"].name)["Items"])

    assert "run:7" in stored
    assert not any(secret in stored for secret in (ticket, key, kept, TOKEN))


def test_a_stream_is_resumed_as_often_as_needed_for_an_hour(tickets: Tickets, clock: TestClock) -> None:
    key = tickets.open_stream(tickets.redeem(tickets.issue(CALLER, RUN)[0]))
    for _ in range(3):
        assert tickets.resume(key, RUN).caller.id == CALLER.id
    clock.sleep(STREAM_SECONDS)

    with pytest.raises(TicketRefused):
        tickets.resume(key, RUN)


def test_a_stream_is_resumed_for_its_own_run_only_and_not_with_its_ticket(tickets: Tickets) -> None:
    ticket, _ = tickets.issue(CALLER, RUN)
    key = tickets.open_stream(tickets.redeem(ticket))

    for wrong_key, subject in [(key, Subject(123, agent_run_id=8)), (ticket, RUN), ("", RUN)]:
        with pytest.raises(TicketRefused):
            tickets.resume(wrong_key, subject)
