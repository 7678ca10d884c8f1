"""The lines of the log, under the rule by which Lambda drops lines, and the metrics that they carry."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import CodegenAPIError
from codegen_runs import metrics, upstream
from codegen_runs.backend import Backend
from codegen_runs.http.edge import endpoint
from codegen_runs.logs import logger
from codegen_runs.metrics import Metric
from codegen_runs.problems import CredentialsRefused, Problem, StorageUnavailable
from local import cloudformation
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport, Trouble
from local.template import Template
from tests.support import backend, handlers, sources
from tests.support.aws import ENVIRONMENT
from tests.support.backend import SECRET_NAME
from tests.support.events import Context, rest
from tests.support.lambda_logs import is_valid, kept, level

ROOT = Path(__file__).parents[3]
LOG_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")


class UnreadableCallers:
    """A callers table that does not respond."""

    def get(self, key: Any) -> None:
        raise StorageUnavailable("Down.")

    def put(self, item: Any, condition: Any = None) -> None:
        raise StorageUnavailable("Down.")


@contextmanager
def written() -> Iterator[StringIO]:
    stream = StringIO()
    usual = logger.registered_handler.setStream(stream)  # type: ignore[attr-defined]
    yield stream
    logger.registered_handler.setStream(usual)  # type: ignore[attr-defined]


@pytest.fixture
def lines(
    deployed: Template, fake: FakeCodegen, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What an endpoint, the authorizer, the poller and the reconciler write to the log."""
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=DEMO_TOKEN)
    app = APIGatewayRestResolver()
    app.get("/works")(dict)
    app.get("/fails")(lambda: 1 / 0)
    with written() as log, upstream.over(FakeTransport(fake)):
        for path in ("/works", "/fails", "/nowhere"):
            endpoint(app, public=True)(rest("GET", path, caller=None), Context(), Backend())
        authorizer = handlers.load("authorizer/authorize")
        authorized = {"headers": {"X-API-Key": DEMO_TOKEN}, "resource": "/health", "methodArn": "arn:aws:any/v0/GET"}
        authorizer.handler(authorized, Context(), Backend(callers=UnreadableCallers()))
        handlers.load("poller/poll").handler({}, Context(milliseconds_left=28_000), Backend())
        handlers.load("reconciler/reconcile").handler({}, Context(), Backend())
        logger.critical("The end.")
    return log.getvalue().splitlines() + capsys.readouterr().out.splitlines()


def is_metric(line: str) -> bool:
    return "_aws" in json.loads(line)


def test_every_line_has_a_level_and_a_time_that_lambda_understands(lines: list[str]) -> None:
    assert [line for line in lines if not is_valid(line)] == []
    assert {level(line) for line in lines} == {"INFO", "WARN", "ERROR", "FATAL"}
    assert sum(map(is_metric, lines)) == 5


@pytest.mark.parametrize("log_level", LOG_LEVELS)
def test_metrics_survive_every_log_level(lines: list[str], log_level: str) -> None:
    deployed = backend.template(LogLevel=log_level)
    document = cloudformation.read(deployed.path, deployed.parameters)
    lambdas_level = document.resources["GetHealth"].properties["LoggingConfig"]["ApplicationLogLevel"]

    assert [line for line in lines if is_metric(line) and not kept(line, lambdas_level)] == []
    assert kept('{"level": "DEBUG", "timestamp": "2026-01-01T00:00:00Z"}', lambdas_level)


@pytest.mark.parametrize("log_level", LOG_LEVELS)
def test_the_log_level_applies_to_the_functions_and_to_libraries(log_level: str) -> None:
    """A process of its own, because the levels of the log are set when the module is imported."""
    program = (
        "import logging; logging.basicConfig(format='library %(levelname)s'); logging.getLogger().setLevel('DEBUG')\n"
        "from codegen_runs.logs import logger\n"
        "for log in (logger, logging.getLogger('library')):\n"
        "    for name in ('debug', 'info', 'warning', 'error'): getattr(log, name)('text')\n"
    )
    # Lambda gives the function its own level in the variable AWS_LAMBDA_LOG_LEVEL.
    levels = {"AWS_LAMBDA_LOG_LEVEL": "DEBUG", "POWERTOOLS_LOG_LEVEL": log_level}
    path = {"PYTHONPATH": str(ROOT / "layers" / "codegen")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | ENVIRONMENT | levels | path, capture_output=True, text=True
    )

    expected = LOG_LEVELS[LOG_LEVELS.index(log_level) :]
    assert [level(line) for line in result.stdout.splitlines()] == list(expected), result.stderr
    texts = [line.removeprefix("library ") for line in result.stderr.splitlines() if line.startswith("library ")]
    assert texts == [{"WARN": "WARNING"}.get(name, name) for name in expected]


@pytest.mark.parametrize("file", sources.modules(sources.FUNCTIONS), ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_function_applies_the_log_level(file: Path) -> None:
    names = sources.imports(file)

    assert {f"codegen_runs.{name}" for name in ("logs", "backend", "http.edge", "live.sse")} & names


def test_no_other_module_opens_a_log_or_metrics() -> None:
    """The first one of a process decides the form of all lines, and each name of a metric has a price."""
    found = {
        f"{file.relative_to(ROOT)} {node.func.id}"
        for folder in (sources.LAYER / "codegen_runs", sources.FUNCTIONS)
        for file in sources.modules(folder)
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Logger", "Metrics")
    }

    own = "layers/codegen/codegen_runs"
    assert found - {"layers/codegen/codegen_runs/chat/outcomes.py Metrics"} == {
        f"{own}/logs.py Logger",
        f"{own}/metrics.py Metrics",
    }


def test_each_metric_has_one_combination_of_dimensions(lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """CloudWatch bills combinations, so routes, methods, statuses and organizations must not be dimensions."""
    app = APIGatewayRestResolver()

    def refuse() -> None:
        raise type("Refused", (Problem,), {"code": "refused", "status": 418, "title": "Refused", "remedy": "None."})

    for number in range(20):
        app.get(f"/organizations/{number}/operation")(refuse if number % 2 else dict)
        endpoint(app)(rest("GET", f"/organizations/{number}/operation"), Context(), Backend())
    entries = [json.loads(line) for line in lines + capsys.readouterr().out.splitlines() if is_metric(line)]
    combinations = {
        (metric["Name"], *((name, entry[name]) for name in dimensions))
        for entry in entries
        for directive in entry["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }

    assert len({entry["route"] for entry in entries if "route" in entry}) > 20
    assert combinations <= {(metric.value, ("service", "codegen-runs")) for metric in Metric}
    assert len(combinations) >= 8


@pytest.mark.parametrize(("status", "metric"), [(429, Metric.UPSTREAM_THROTTLES), (402, Metric.UPSTREAM_UNPAID)])
def test_a_refusal_of_codegen_is_counted(
    status: int, metric: Metric, fake: FakeCodegen, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.troubles.add("*", Trouble("error", status=status, message="No."))
    with upstream.over(FakeTransport(fake)), upstream.without_retries(), pytest.raises(CodegenAPIError):
        upstream.for_token(DEMO_TOKEN).users.me()
    metrics.write_added("a line")
    metrics.write_added("another line")

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line[metric] == [1.0]
    assert line["message"] == "a line"


@pytest.fixture
def refused_deployment(deployed: Template) -> Iterator[None]:
    """A deployment whose token is not valid."""
    boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString="refused")
    upstream.deployment_token.forget()
    yield
    upstream.deployment_token.forget()


@pytest.mark.usefixtures("refused_deployment")
def test_a_refused_token_is_counted_if_it_is_that_of_the_deployment(
    fake: FakeCodegen, capsys: pytest.CaptureFixture[str]
) -> None:
    with upstream.over(FakeTransport(fake)):
        with pytest.raises(CodegenAPIError):
            upstream.for_token("refused").users.me()
        metrics.write_added("caller")
        with pytest.raises(CredentialsRefused):
            upstream.for_deployment(max_retries=0).users.me()
        metrics.write_added("deployment")

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["message"], line[Metric.UPSTREAM_REFUSALS]) == ("deployment", [1.0])


def test_a_denied_token_is_counted(deployed: Template, fake: FakeCodegen, capsys: pytest.CaptureFixture[str]) -> None:
    event = {"headers": {"X-API-Key": "unknown"}, "resource": "/health", "methodArn": "arn:aws:any/v0/GET"}
    with upstream.over(FakeTransport(fake)), pytest.raises(Exception, match="Unauthorized"):
        handlers.load("authorizer/authorize").handler(event, Context(), Backend())

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines if Metric.DENIALS in line] == ["authorization"]


def test_the_operator_can_read_the_price_of_all_metrics() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8").partition("## What to watch")[2].partition("\n##")[0]
    table = re.findall(r"(?m)^\| (`.+?) \|", text)

    assert {name for row in table for name in re.findall(r"`(\w+)`", row)} == {metric.value for metric in Metric}
    assert f"{len(Metric)} metrics x $0.30 = ${len(Metric) * 0.30:.2f} a month" in text


def test_two_stacks_of_an_account_have_metrics_of_their_own() -> None:
    variables = ROOT.joinpath("template.yaml").read_text("utf-8")

    assert "POWERTOOLS_SERVICE_NAME: !Ref AWS::StackName" in variables
