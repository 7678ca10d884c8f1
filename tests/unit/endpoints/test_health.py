from datetime import UTC, datetime, timedelta

import pytest

from codegen_runs import __version__
from tests.support.events import call, rest
from tests.support.handlers import handler


@pytest.mark.parametrize("path", ["/health", "/api/health"])
def test_the_service_reports_that_it_is_up_without_a_token(path: str) -> None:
    answer = call(handler("health/get"), rest("GET", path, caller=None))

    assert answer.status == 200
    assert answer.json.keys() == {"service", "status", "timestamp", "version", "uptime_seconds"}
    assert answer.json["service"] == "codegen-runs"
    assert answer.json["status"] == "healthy"
    assert answer.json["version"] == __version__
    assert answer.json["uptime_seconds"] >= 0
    assert datetime.now(UTC) - datetime.fromisoformat(answer.json["timestamp"]) < timedelta(minutes=1)


def test_the_service_is_up_while_the_upstream_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODEGEN_BASE_URL")

    assert call(handler("health/get"), rest("GET", "/health", caller=None)).status == 200
