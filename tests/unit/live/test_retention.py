"""How long events and watches are kept in DynamoDB."""

import boto3

from codegen_runs.events import Writer
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable, Watch
from local.template import Template

DAY = 86_400
NOW = 1_750_000_000


def expiries(template: Template) -> dict[str, int | None]:
    items = boto3.client("dynamodb").scan(TableName=template.tables["RunsTable"].name)["Items"]
    return {item["sk"]["S"]: int(item["expires_at"]["N"]) if "expires_at" in item else None for item in items}


def watch(**more: object) -> Watch:
    times = dict.fromkeys(("created_at", "updated_at", "deadline_at"), NOW * 1000)
    return Watch.model_validate({"org_id": 123, "key": "7", "status": Status.RUNNING, **times, **more})


def test_events_are_kept_as_long_as_the_deployment_says_and_a_watch_longer(deployed: Template) -> None:
    runs = RunsTable(deployed.tables["RunsTable"].name, retention=3 * DAY)
    writer = Writer(watch().position, run_id=7, now=NOW)
    writer.add("run.log", {})
    runs.add(watch().at(writer.position), writer.events)

    assert expiries(deployed) == {"watch": NOW + 33 * DAY, "event#0000#0000000001": NOW + 3 * DAY}


def test_the_watch_of_a_run_of_a_multi_run_does_not_expire(deployed: Template) -> None:
    RunsTable(deployed.tables["RunsTable"].name).add(watch(multi_run_id="mr-1"))

    assert expiries(deployed) == {"watch": None}


def test_an_expired_item_is_not_read_although_it_still_exists(deployed: Template) -> None:
    runs = RunsTable(deployed.tables["RunsTable"].name, retention=DAY)
    current = watch()
    for moment in (NOW, NOW, NOW + 10, NOW + 20):
        writer = Writer(current.position, run_id=7, now=moment)
        writer.add("run.log", {})
        current = current.at(writer.position)
        assert runs.add(current, writer.events) if current.seq == 1 else runs.write(current, writer.events)
        current = runs.get(123, "7") or current

    def read(now: float, limit: int = 100) -> list[str]:
        return [event.id for event in runs.events(123, "7", limit=limit, now=now)]

    assert read(NOW + DAY - 1) == ["0-1", "0-2", "0-3", "0-4"]
    assert read(NOW + DAY) == ["0-3", "0-4"]
    assert read(NOW + DAY, limit=1) == ["0-3"]
    assert read(NOW + DAY + 20) == []
    assert len(runs.events(123, "7")) == 4


def test_the_template_lets_dynamodb_delete_what_has_expired(deployed: Template) -> None:
    assert deployed.tables["RunsTable"].ttl_attribute == "expires_at"
    assert deployed.tables["CallersTable"].ttl_attribute == "expires_at"
