"""What an operator sees of a deployment: the alarms, the dashboard, the access log, and the runbook in the docs."""

import json
import re
from itertools import pairwise
from typing import Any

import pytest

from codegen_runs.metrics import Metric
from local import cloudformation
from local.cloudformation import Document
from tests.support import backend
from tests.support.log_filters import matches
from tests.support.sources import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
RUNBOOK = OPERATIONS.partition("### Alarms")[2].partition("\n## ")[0]

DOCUMENT = backend.document()
ALARMS = {alarm.logical_id: alarm.properties for alarm in DOCUMENT.of("AWS::CloudWatch::Alarm")}


def deployed(**parameters: str) -> Document:
    template = backend.template(**parameters)
    return cloudformation.read(template.path, template.parameters)


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics of an alarm, of one or of a sum."""
    if "Metrics" in alarm:
        return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]
    return [alarm]


def is_own(metric: dict[str, Any]) -> bool:
    return bool(metric["Namespace"] == "CodegenRuns")


# --- alarms ----------------------------------------------------------------------------------------------------------


def test_every_alarm_is_sent_to_the_topic_when_it_begins_and_when_it_ends(document: Document) -> None:
    topic = document.resources["AlarmTopic"].arn

    assert ALARMS
    for alarm in ALARMS.values():
        assert (alarm["AlarmActions"], alarm["OKActions"]) == ([topic], [topic])


def test_the_runbook_has_one_entry_for_each_alarm() -> None:
    entries = re.findall(r"(?m)^\| `(\w+)` \| (.+?) \| (.+) \|$", RUNBOOK)

    assert [name for name, *_ in entries] == [name.removesuffix("Alarm") for name in ALARMS]
    assert all(len(meaning) > 20 and len(remedy) > 40 for _, meaning, remedy in entries)


def test_an_alarm_counts_what_the_functions_write() -> None:
    own = [metric for alarm in ALARMS.values() for metric in metrics_of(alarm) if is_own(metric)]

    assert {metric["MetricName"] for metric in own} <= {metric.value for metric in Metric}
    assert {json.dumps(metric["Dimensions"]) for metric in own} == {
        json.dumps([{"Name": "service", "Value": "codegen-runs"}])
    }


NEEDS_AN_OPERATOR = {
    *(Metric.SERVER_ERRORS, Metric.LATENCY, Metric.RUNS_NOT_FOLLOWED, Metric.SETTLED_MULTI_RUNS, Metric.DENIALS),
    *(Metric.UPSTREAM_THROTTLES, Metric.UPSTREAM_UNPAID, Metric.UPSTREAM_REFUSALS, Metric.POLLER_LAG, Metric.POLLS),
}


def test_what_needs_an_operator_has_an_alarm() -> None:
    watched = {each["MetricName"] for alarm in ALARMS.values() for each in metrics_of(alarm)}

    assert {metric.value for metric in NEEDS_AN_OPERATOR} <= watched
    assert watched >= {"5XXError", "Throttles", "ApproximateNumberOfMessagesVisible", "FailedInvocations"}


def test_only_the_silence_of_the_poller_is_an_alarm_without_data() -> None:
    assert {name for name, alarm in ALARMS.items() if alarm["TreatMissingData"] == "breaching"} == {"PollerSilentAlarm"}
    assert {alarm["TreatMissingData"] for alarm in ALARMS.values()} == {"breaching", "notBreaching"}


LINES = {
    "the process did not end in time": (
        True,
        {"type": "platform.report", "record": {"requestId": "1", "status": "timeout"}},
    ),
    "the process ended": (True, {"type": "platform.report", "record": {"requestId": "1", "status": "failure"}}),
    "an exception was not caught": (
        True,
        {"level": "ERROR", "errorType": "ExceptionGroup", "errorMessage": "Some runs could not be polled."},
    ),
    "an unknown token": (False, {"level": "ERROR", "errorType": "Exception", "errorMessage": "Unauthorized"}),
    "the report of an unknown token": (False, {"type": "platform.report", "record": {"status": "error"}}),
    "a success": (False, {"type": "platform.report", "record": {"requestId": "1", "status": "success"}}),
    "a request": (False, {"level": "INFO", "message": "request", "status": 500, "code": "internal_error"}),
    "a warning": (False, {"level": "WARN", "message": "Could not read.", "exception_name": "StorageUnavailable"}),
}


@pytest.mark.parametrize(("counts", "line"), LINES.values(), ids=LINES)
def test_a_failed_invocation_is_found_in_the_log(document: Document, counts: bool, line: dict[str, Any]) -> None:
    """The lines are those of Lambda's log format JSON and of the Python runtime."""
    pattern = document.resources["FailedInvocations"].properties["FilterPattern"]

    assert matches(pattern, json.dumps(line)) is counts


@pytest.mark.parametrize("name", sorted(backend.every_function()))
def test_the_failures_of_every_function_are_counted(document: Document, name: str) -> None:
    logs = backend.document_with(name).resources[name].properties["LoggingConfig"]
    counted = document.resources["FailedInvocations"].properties

    assert (logs["LogGroup"], logs["LogFormat"]) == (counted["LogGroupName"], "JSON")
    alarm = ALARMS["FailedInvocationsAlarm"]
    (counter,) = counted["MetricTransformations"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (counter["MetricNamespace"], counter["MetricName"])


def test_the_alarms_are_sent_to_an_address_if_there_is_one() -> None:
    without, given = (deployed(AlarmEmail=email) for email in ("", "operator@example.com"))

    assert "Subscription" not in without.resources["AlarmTopic"].properties
    assert given.resources["AlarmTopic"].properties["Subscription"] == [
        {"Protocol": "email", "Endpoint": "operator@example.com"}
    ]


# --- the dashboard ---------------------------------------------------------------------------------------------------


def test_the_dashboard_shows_every_metric_and_every_widget_has_its_place(document: Document) -> None:
    widgets = json.loads(document.resources["Dashboard"].properties["DashboardBody"])["widgets"]
    shown = [metric for widget in widgets for metric in widget["properties"]["metrics"]]

    assert {metric[1] for metric in shown if metric[0] == "CodegenRuns"} == {metric.value for metric in Metric}
    assert {tuple(metric[2:4]) for metric in shown if metric[0] == "CodegenRuns"} == {("service", "codegen-runs")}
    places = sorted((widget["y"], widget["x"]) for widget in widgets)
    assert all(first != second for first, second in pairwise(places))
    assert {widget["properties"]["region"] for widget in widgets} == {"us-east-1"}


# --- the access log --------------------------------------------------------------------------------------------------


def test_api_gateway_writes_an_access_log_only_if_the_operator_wants_it() -> None:
    """It needs a role in the settings of the account, without which the deployment would fail."""
    without, wanted = (deployed(AccessLogs=value) for value in ("false", "true"))

    assert "AccessLogSetting" not in without.resources["Api"].properties
    assert "AccessLog" not in without.resources
    setting = wanted.resources["Api"].properties["AccessLogSetting"]
    assert setting["DestinationArn"] == wanted.resources["AccessLog"].arn
    assert json.loads(setting["Format"]).keys() >= {"time", "request_id", "method", "route", "status", "caller"}


def test_the_access_log_has_no_path_query_or_header_of_a_request() -> None:
    """They can hold a ticket of a stream or what a user typed."""
    setting = deployed(AccessLogs="true").resources["Api"].properties["AccessLogSetting"]

    assert not re.search(r"\$context\.path|\$input|\$context\.identity\.apiKey|querystring|header", setting["Format"])


def test_answers_are_compressed_unless_they_are_streamed() -> None:
    paged, live = (deployed(LiveStreaming=value).resources["Api"].properties for value in ("false", "true"))

    assert paged["MinimumCompressionSize"] == 1024
    assert "MinimumCompressionSize" not in live
