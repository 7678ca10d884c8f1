"""Counts of what a client sent and received."""

import httpx
import pytest


def get(api):
    return api.runs.get(7)


def metrics(api):
    return api.metrics.as_dict()


def test_requests_errors_and_durations_are_counted(client, wire, run):
    wire.answers(500, {}, after=0.2).fails(httpx.ReadError, after=0.4).answers(200, run, after=0.6)

    counts = client.each(get, metrics)[1]

    assert (counts["requests"], counts["retries"], counts["errors"], counts["failures"]) == (3, 2, 2, 1)
    assert counts["error_rate"] == pytest.approx(2 / 3)
    assert counts["statuses"] == {"200": 1, "500": 1}
    assert counts["seconds"] == pytest.approx({"mean": 0.4, "p50": 0.4, "p95": 0.6, "max": 0.6})


def test_views_share_the_counts_and_a_reset_sets_them_to_zero(client, wire, run):
    wire.answers(200, run).answers(200, run)

    def seen(api):
        before = api.metrics.requests
        api.metrics.reset()
        return before, api.metrics.requests, api.metrics.error_rate, api.metrics.percentile_seconds(95)

    in_view = client.each(get, lambda api: api.with_deadline(9).runs.get(7), seen)
    assert in_view[2] == (2, 0, 0.0, 0.0)
