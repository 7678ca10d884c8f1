"""Who is connected and follows what: DynamoDB's table, and the one in memory that other tests use, promise the same."""

import pytest

from codegen_runs.storage.connections import Connection, ConnectionsTable, Subscription
from local.template import Template
from tests.unit.websocket.fakes import MemoryConnectionsTable

ADA = Connection(id="ada=", caller_id="user:1", user_id=1, organizations=frozenset({123, 124}), expires_at=2_000)
SUBSCRIPTION = Subscription(
    connection_id="ada=", org_id=123, key="7", id="s1", run_id=7, epoch=1, seq=5, due_at=1_000, expires_at=2_000
)


@pytest.fixture(params=["dynamodb", "memory"])
def table(request: pytest.FixtureRequest) -> ConnectionsTable | MemoryConnectionsTable:
    if request.param == "memory":
        return MemoryConnectionsTable()
    deployed: Template = request.getfixturevalue("deployed")
    return ConnectionsTable(deployed.tables["ConnectionsTable"].name)


def stored(table: ConnectionsTable) -> Subscription | None:
    return next(iter(table.subscribers(123, "7")), None)


def test_a_connection_is_kept_until_it_is_removed(table: ConnectionsTable) -> None:
    table.add(ADA)
    assert table.get("ada=") == ADA

    table.remove("ada=")
    assert table.get("ada=") is None


def test_removing_a_connection_removes_its_own_subscriptions_only(table: ConnectionsTable) -> None:
    other = SUBSCRIPTION.model_copy(update={"connection_id": "bob="})
    for subscription in (SUBSCRIPTION, SUBSCRIPTION.model_copy(update={"key": "8"}), other):
        table.subscribe(subscription)
    table.remove("ada=")

    assert table.followed("ada=") == []
    assert table.subscribers(123, "7") == [other]
    assert not table.has_subscribers(123, "8")


def test_a_subscription_comes_back_as_it_was_stored(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)

    assert table.subscribers(123, "7") == table.followed("ada=") == [SUBSCRIPTION]
    assert table.subscribers(124, "7") == []


def test_a_second_subscription_replaces_the_first(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    table.subscribe(SUBSCRIPTION.model_copy(update={"id": "s2", "seq": 9}))

    assert [each.id for each in table.subscribers(123, "7")] == ["s2"]
    assert table.claim(SUBSCRIPTION, "me", 9_000) is None


def test_due_connections_come_in_order_of_time(table: ConnectionsTable) -> None:
    for due_at, key in ((3_000, "c"), (1_000, "a"), (2_000, "b")):
        table.subscribe(SUBSCRIPTION.model_copy(update={"due_at": due_at, "key": key}))

    assert [each.key for each in table.due(2_000, 10)] == ["a", "b"]
    assert [each.key for each in table.due(9_000, 1)] == ["a"]


def test_only_one_has_the_claim(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    claimed = table.claim(SUBSCRIPTION, "me", 9_000)

    assert claimed is not None
    assert (claimed.claim, claimed.due_at, claimed.cursor) == ("me", 9_000, (1, 5))
    assert table.claim(SUBSCRIPTION, "you", 9_000) is None


def test_a_released_claim_keeps_the_position_of_the_last_frame(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    claimed = table.claim(SUBSCRIPTION, "me", 9_000)
    assert claimed is not None
    assert table.release(claimed, (2, 8), 60_000)

    assert stored(table) == SUBSCRIPTION.model_copy(update={"epoch": 2, "seq": 8, "due_at": 60_000})
    assert not table.release(claimed, (2, 9), 60_000)


def test_a_claim_with_unacknowledged_news_cannot_be_released(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    claimed = table.claim(SUBSCRIPTION, "me", 9_000)
    assert claimed is not None
    assert table.mark(SUBSCRIPTION)

    assert not table.release(claimed, (2, 8), 60_000)
    assert table.acknowledge(claimed)
    assert table.release(claimed, (2, 8), 60_000)


def test_without_a_sender_no_connection_is_marked(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)

    assert not table.mark(SUBSCRIPTION)


def test_a_claim_can_be_postponed_although_there_is_news(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    claimed = table.claim(SUBSCRIPTION, "me", 9_000)
    assert claimed is not None
    table.mark(SUBSCRIPTION)
    table.put_off(claimed, (1, 6), 5_000, slow=True)

    assert stored(table) == SUBSCRIPTION.model_copy(update={"seq": 6, "due_at": 5_000, "slow_until": 5_000})


def test_a_replaced_subscription_changes_nothing_more(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    claimed = table.claim(SUBSCRIPTION, "me", 9_000)
    assert claimed is not None
    again = SUBSCRIPTION.model_copy(update={"id": "s2", "claim": "you"})
    table.subscribe(again)
    table.put_off(claimed, (1, 6), 5_000)
    table.finish(claimed)

    assert not table.acknowledge(claimed)
    assert not table.release(claimed, (1, 6), 5_000)
    assert stored(table) == again


def test_a_finished_subscription_is_deleted(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    claimed = table.claim(SUBSCRIPTION, "me", 9_000)
    assert claimed is not None
    table.finish(claimed)

    assert stored(table) is None
    assert table.followed("ada=") == []


def test_the_next_claim_takes_the_news(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION.model_copy(update={"news": True}))
    claimed = table.claim(SUBSCRIPTION, "me", 9_000)

    assert claimed is not None
    assert claimed.news is False


def test_an_unsubscribed_run_is_not_followed(table: ConnectionsTable) -> None:
    table.subscribe(SUBSCRIPTION)
    table.unsubscribe("ada=", 123, "7")

    assert stored(table) is None
    assert table.claim(SUBSCRIPTION, "me", 9_000) is None
