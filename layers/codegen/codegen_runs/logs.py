"""The log of all functions, in lines that Lambda can filter by level.

Lambda drops lines below its `ApplicationLogLevel`. A line whose `level` is not one of Lambda's, or whose `timestamp`
does not have the form of RFC 3339, counts as INFO. So warnings have the level WARN, which Python calls WARNING.

The template sets Lambda's level to DEBUG, because above INFO Lambda would drop the lines with the metrics. The
parameter `LogLevel` applies here, to this log and to the log of every library. Every function imports this module, at
least for its `Backend`.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
"""

import copy
import logging
import os
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from codegen_runs import correlation
from codegen_runs.redaction import redact

_LAMBDA_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}


def timestamp() -> str:
    """Return the current time in the form of RFC 3339, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class _Formatter(LambdaPowertoolsFormatter):
    """Powertools' formatter with Lambda's names of the levels."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line of JSON."""
        record = copy.copy(record)
        record.levelname = _LAMBDA_LEVELS.get(record.levelname, record.levelname)
        return super().format(record)

    def serialize(self, log: dict[str, Any]) -> str:  # type: ignore[override]
        """Return a line as JSON. What looks like a secret in it is masked: errors can contain what agents wrote."""
        if request_id := correlation.request_id():
            log.setdefault("request_id", request_id)
        return super().serialize(redact(log))


def _opened() -> Logger:
    opened = Logger(logger_formatter=_Formatter(use_rfc3339=True, utc=True))
    # Lambda's name for its ApplicationLogLevel. Powertools and the runtime prefer it to POWERTOOLS_LOG_LEVEL.
    if "AWS_LAMBDA_LOG_LEVEL" in os.environ:
        level = os.environ.get("POWERTOOLS_LOG_LEVEL") or "INFO"
        for name in (opened.name, None):
            logging.getLogger(name).setLevel(level)
    return opened


logger = _opened()
"""The log. All modules use this object, because the first `Logger` of a process decides the form of its lines."""
