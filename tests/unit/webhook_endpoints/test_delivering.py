"""What follows each try to deliver a message."""

import pytest

from codegen_runs.backend import Backend
from codegen_runs.storage.webhook_endpoints import Delivery, DeliveryStatus, Endpoint
from codegen_runs.webhook_endpoints import announcing, messages
from codegen_runs.webhook_endpoints.delivering import ATTEMPTS, DELAYS, Deliverer
from codegen_runs.webhook_endpoints.posting import Answer
from local.template import Template
from tests.support.backend import TestClock
from tests.support.overtaken import Overtaken
from tests.unit.webhook_endpoints.conftest import ORG, Queue, Receiver, add, only

CONTENT = messages.message("run.failed", "2026-11-27T10:00:00.000Z", {"organization_id": ORG, "run_id": 7})


@pytest.fixture
def delivery(work: Backend, endpoint: Endpoint, queue: Queue) -> Delivery:
    return announcing.send(endpoint, "msg_1", CONTENT, at=1000, backend=work)


def deliver(deliverer: Deliverer, delivery: Delivery) -> int | None:
    return deliverer.deliver(delivery.org_id, delivery.endpoint_id, delivery.position)


def test_a_message_is_signed_and_delivered_once(
    deliverer: Deliverer, delivery: Delivery, receiver: Receiver, work: Backend, endpoint: Endpoint, clock: TestClock
) -> None:
    assert deliver(deliverer, delivery) is None
    assert deliver(deliverer, delivery) is None  # The queue may hand a message out twice.

    ((url, headers, body),) = receiver.got
    assert (url, body) == (endpoint.url, CONTENT)
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == str(int(clock.now()))
    assert headers["webhook-signature"] == f"v1,whsec_one:msg_1:{int(clock.now())}"
    assert only(work, endpoint).status is DeliveryStatus.DELIVERED


FAILING = Answer(500, "Down.")


@pytest.mark.parametrize("first", [Answer(200, ""), FAILING, Answer(error="No answer.")])
@pytest.mark.parametrize("second", [Answer(200, ""), FAILING])
def test_a_message_that_comes_again_while_its_first_try_runs_is_delivered_if_one_of_them_was_taken(
    first: Answer,
    second: Answer,
    deliverer: Deliverer,
    delivery: Delivery,
    receiver: Receiver,
    work: Backend,
    endpoint: Endpoint,
) -> None:
    """Both tries are in the log of deliveries, in the order of their ends, and the last delay counts."""
    delays: list[int | None] = []

    def meanwhile() -> None:
        delays.append(deliver(deliverer, delivery))

    receiver.answers, receiver.meanwhile = [second, first], [meanwhile]
    delays.append(deliver(deliverer, delivery))

    taken = 200 in (first.status, second.status)
    found = only(work, endpoint)
    assert found.status is (DeliveryStatus.DELIVERED if taken else DeliveryStatus.PENDING)
    assert [each.status for each in found.attempts] == [second.status, first.status]
    assert (found.next_attempt_at is None) == taken
    if taken:
        assert deliver(deliverer, delivery) is None
        assert len(receiver.got) == 2


def test_a_message_that_is_taken_while_its_last_try_fails_is_delivered(
    deliverer: Deliverer, delivery: Delivery, receiver: Receiver, work: Backend, endpoint: Endpoint
) -> None:
    receiver.answers = [FAILING] * (ATTEMPTS - 1)
    for _ in range(ATTEMPTS - 1):
        deliver(deliverer, delivery)
    receiver.answers = [FAILING, Answer(200, "")]
    receiver.meanwhile = [lambda: deliver(deliverer, delivery)]
    deliver(deliverer, delivery)

    found = only(work, endpoint)
    assert (found.status, found.reason) == (DeliveryStatus.DELIVERED, None)


def test_both_secrets_sign_until_the_end_of_a_rotation(
    deliverer: Deliverer, work: Backend, endpoint: Endpoint, queue: Queue, receiver: Receiver, clock: TestClock
) -> None:
    until = round(clock.now() * 1000) + 60_000
    work.webhook_endpoints.write(endpoint, secret="whsec_two", previous_secret="whsec_one", previous_until=until)
    for number in (1, 2):
        deliver(deliverer, announcing.send(endpoint, f"msg_{number}", CONTENT, at=number, backend=work))
        clock.sleep(61)

    signatures = [headers["webhook-signature"].split(" ") for _, headers, _ in receiver.got]
    assert [[each.split(":")[0] for each in signed] for signed in signatures] == [
        ["v1,whsec_two", "v1,whsec_one"],
        ["v1,whsec_two"],
    ]


@pytest.mark.parametrize(
    "answer", [Answer(500, "Down."), Answer(302, ""), Answer(404, "No."), Answer(429, ""), Answer(error="No answer.")]
)
def test_a_message_that_is_not_taken_is_tried_again_later_with_the_same_id(
    answer: Answer, deliverer: Deliverer, delivery: Delivery, receiver: Receiver, work: Backend, endpoint: Endpoint
) -> None:
    receiver.answers = [answer]

    assert deliver(deliverer, delivery) == DELAYS[0]
    assert deliver(deliverer, delivery) is None
    assert {headers["webhook-id"] for _, headers, _ in receiver.got} == {"msg_1"}
    tried = only(work, endpoint)
    assert [(each.status, each.error) for each in tried.attempts] == [(answer.status, answer.error), (200, None)]
    assert tried.next_attempt_at is None


def test_the_tries_take_about_a_day_and_then_the_message_goes_to_the_queue_of_undelivered_ones(
    deliverer: Deliverer,
    delivery: Delivery,
    receiver: Receiver,
    work: Backend,
    endpoint: Endpoint,
    clock: TestClock,
    deployed: Template,
) -> None:
    receiver.answers = [Answer(500, "Down.")] * ATTEMPTS
    began = clock.now()
    for delay in DELAYS:
        assert deliver(deliverer, delivery) == delay
        clock.sleep(delay)

    assert deliver(deliverer, delivery) == 0
    assert deliver(deliverer, delivery) == 0  # until the queue moves it
    assert 20 * 3600 < clock.now() - began < 30 * 3600
    failed = only(work, endpoint)
    assert failed.status is DeliveryStatus.FAILED
    assert failed.reason == "The endpoint took the message in none of 8 tries."
    assert len(receiver.got) == ATTEMPTS


def test_the_queue_waits_as_long_and_repeats_as_often_as_the_tries_need(deployed: Template) -> None:
    """Twelve hours is the most that SQS hides a message. Lambda wants six times the function's timeout."""
    queue = deployed.queues["DeliveryQueue"].attributes
    assert int(queue["VisibilityTimeout"]) >= 6 * deployed.functions["SendWebhooks"].timeout
    assert max(DELAYS) * 1.2 <= 12 * 3600
    assert f'"maxReceiveCount": {ATTEMPTS + 4}' in queue["RedrivePolicy"]
    assert int(queue["MessageRetentionPeriod"]) > sum(DELAYS) * 1.2


def test_an_endpoint_that_is_gone_is_disabled_and_the_others_are_told(
    deliverer: Deliverer, delivery: Delivery, receiver: Receiver, work: Backend, endpoint: Endpoint, queue: Queue
) -> None:
    other = add(work, "we-0000000000000002")
    receiver.answers = [Answer(410, "")]
    queue.take()

    assert deliver(deliverer, delivery) is None
    gone = work.webhook_endpoints.get(ORG, endpoint.id)
    assert gone
    assert not gone.is_enabled
    assert gone.disabled_reason == "The endpoint answered 410: it is gone."
    (told,) = queue.take()
    assert told["endpoint_id"] == other.id
    assert only(work, other).type == messages.DISABLED


@pytest.mark.parametrize("change", ["gone", "failing", "moved"])
def test_an_endpoint_that_changes_while_it_answers_410_is_disabled_unless_its_url_is_another_one(
    change: str,
    deliverer: Deliverer,
    delivery: Delivery,
    receiver: Receiver,
    work: Backend,
    endpoint: Endpoint,
    queue: Queue,
) -> None:
    other = add(work, "we-0000000000000002")
    second = announcing.send(endpoint, "msg_2", CONTENT, at=2000, backend=work)
    receiver.answers = [Answer(410, ""), Answer(410, "")]
    if change == "gone":
        receiver.meanwhile = [lambda: deliver(deliverer, second)]
    else:
        changes = {"failing_since": 5} if change == "failing" else {"url": "https://new.example.com/"}
        receiver.meanwhile = [lambda: work.webhook_endpoints.write(endpoint, **changes)]
    deliver(deliverer, delivery)

    found = work.webhook_endpoints.get(ORG, endpoint.id)
    assert found
    assert found.is_enabled == (change == "moved")
    notices, _ = work.webhook_endpoints.deliveries(ORG, other.id, 10)
    assert len({each.id for each in notices}) == 1


def test_the_notice_of_a_disabled_endpoint_is_not_lost_if_the_function_dies(
    deliverer: Deliverer, delivery: Delivery, receiver: Receiver, work: Backend, endpoint: Endpoint
) -> None:
    other = add(work, "we-0000000000000002")
    receiver.answers = [Answer(410, "")]
    work.__dict__["webhook_endpoints"] = Overtaken(work.webhook_endpoints, "write", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        deliver(deliverer, delivery)

    notices, _ = work.webhook_endpoints.deliveries(ORG, other.id, 10)
    assert [each.type for each in notices] == [messages.DISABLED]


def test_an_endpoint_that_takes_nothing_for_three_days_is_disabled(
    deliverer: Deliverer, receiver: Receiver, work: Backend, endpoint: Endpoint, queue: Queue, clock: TestClock
) -> None:
    receiver.answers = [Answer(500, "")] * 3
    for number in range(3):
        deliver(deliverer, announcing.send(endpoint, f"msg_{number}", CONTENT, at=number, backend=work))
        clock.sleep(1.6 * 86_400)

    disabled = work.webhook_endpoints.get(ORG, endpoint.id)
    assert disabled
    assert disabled.disabled_reason == "The endpoint has taken no message for three days."


def test_a_success_ends_a_row_of_failures(
    deliverer: Deliverer, receiver: Receiver, work: Backend, endpoint: Endpoint, queue: Queue, clock: TestClock
) -> None:
    receiver.answers = [Answer(500, ""), Answer(200, ""), Answer(500, "")]
    for number in range(3):
        deliver(deliverer, announcing.send(endpoint, f"msg_{number}", CONTENT, at=number, backend=work))
        clock.sleep(2 * 86_400)

    current = work.webhook_endpoints.get(ORG, endpoint.id)
    assert current
    assert current.is_enabled


@pytest.mark.parametrize("state", ["disabled", "deleted"])
def test_nothing_is_sent_to_an_endpoint_that_was_disabled_or_deleted_meanwhile(
    state: str, deliverer: Deliverer, delivery: Delivery, receiver: Receiver, work: Backend, endpoint: Endpoint
) -> None:
    if state == "disabled":
        work.webhook_endpoints.write(endpoint, disabled_at=1)
    else:
        work.webhook_endpoints.remove(ORG, endpoint.id)

    assert deliver(deliverer, delivery) is None
    assert receiver.got == []
    assert only(work, endpoint).status is DeliveryStatus.FAILED


def test_what_an_endpoint_answers_is_masked_in_the_record(
    deliverer: Deliverer, delivery: Delivery, receiver: Receiver, work: Backend, endpoint: Endpoint
) -> None:
    receiver.answers = [Answer(500, "password=correct-horse-battery-9")]
    deliver(deliverer, delivery)

    assert "correct-horse" not in (only(work, endpoint).attempts[0].answer or "")
