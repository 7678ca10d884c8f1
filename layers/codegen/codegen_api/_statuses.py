"""The statuses of runs and multi-runs: one vocabulary for all objects.

A deployment sends these words. The Codegen API has words of its own, and does not document them: these come from its
clients and from live responses.
"""

from enum import StrEnum
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Status(StrEnum):
    """The base of both vocabularies. A word that is not in it cannot be read, and its attribute is `UNKNOWN`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        words = {status.value: status for status in cls}

        def read(word: str) -> "Status":
            if word not in words:
                raise ValueError("not a known status")
            return words[word]

        return core_schema.no_info_after_validator_function(
            read, core_schema.str_schema(), serialization=core_schema.to_string_ser_schema()
        )


class RunStatus(Status):
    """The status of a run. The last five are final, unless the run gets a follow-up."""

    QUEUED = "queued"
    LAUNCHING = "launching"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    UNKNOWN = "unknown"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    PENDING = "queued"

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self in _FINAL

    @property
    def failed(self) -> bool:
        """Whether the run has ended without success. A cancelled run has not failed."""
        return self in (RunStatus.INCOMPLETE, RunStatus.FAILED, RunStatus.TIMED_OUT)

    @classmethod
    def of(cls, word: str | None) -> "RunStatus":
        """Return the status that a word of the Codegen API or of a deployment stands for, in upper or lower case."""
        word = (word or "").lower()
        return _WORDS.get(word) or cls._value2member_map_.get(word, cls.UNKNOWN)  # type: ignore[return-value]


TaskStatus = RunStatus


class MultiRunStatus(Status):
    """The status of a multi-run. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    JUDGING = "judging"
    SYNTHESIZING = "synthesizing"
    UNKNOWN = "unknown"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the multi-run has ended."""
        return self in (MultiRunStatus.COMPLETED, MultiRunStatus.FAILED, MultiRunStatus.CANCELLED)


_FINAL = frozenset(
    {RunStatus.COMPLETED, RunStatus.INCOMPLETE, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT}
)

_WORDS = {
    "active": RunStatus.RUNNING,
    "evaluation": RunStatus.RUNNING,
    "pending": RunStatus.QUEUED,
    "complete": RunStatus.COMPLETED,
    "max_iterations_reached": RunStatus.INCOMPLETE,
    "out_of_tokens": RunStatus.INCOMPLETE,
    "error": RunStatus.FAILED,
    "stopped": RunStatus.CANCELLED,
    "timeout": RunStatus.TIMED_OUT,
}
