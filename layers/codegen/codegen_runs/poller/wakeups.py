"""What starts a tick of the poller: the schedule, or another function that has added work."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from codegen_runs.logs import logger


class Wakeup(BaseModel):
    """An event of the poller's function.

    Attributes:
        kick: Whether another function sent it. The tick then ends as soon as no work is left.
        told: The organization and the key of each run or multi-run whose new events are to be pushed.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    kick: bool = False
    told: list[tuple[int, str]] = []

    @classmethod
    def read(cls, event: Any) -> Wakeup:
        """Read an event. One that cannot be read counts as scheduled, because runs must be followed in any case."""
        try:
            return cls.model_validate(event)
        except ValidationError:
            logger.warning("The event of the poller cannot be read.", exc_info=True)
            return cls()
