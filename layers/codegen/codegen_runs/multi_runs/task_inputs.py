"""The inputs of the tasks of the state machine. They are checked: an operator can start an execution with any input."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from codegen_runs.bodies import UpstreamId

Place = Annotated[int, Field(ge=0)]


class InvalidInput(Exception):  # noqa: N818 - the error name that the execution history shows
    """The input of a task is not one that the state machine gives it. The task has done nothing."""


class TaskInput(BaseModel):
    """What each task is about. Tasks ignore the other fields of the state."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True, defer_build=True)

    org_id: UpstreamId
    multi_run_id: str
    execution: str | None = Field(None, description="The name of the execution.")

    @classmethod
    def read(cls, event: Any) -> dict[str, Any]:
        """Return an input as the arguments of its task. Raises `InvalidInput`."""
        try:
            return dict(cls.model_validate(event))
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, fault['loc'])) or 'input'}: {fault['msg']}" for fault in error.errors())
            raise InvalidInput("; ".join(faults)) from None


class LaunchInput(TaskInput):
    """Input of `Launch`."""

    index: Place
    task_token: str


class GatherInput(TaskInput):
    """Input of `Gather`."""

    waited_for: Literal["launch", "judge", "synthesize", "publish"] = Field(alias="next")
    wave: Place | None = None
    judge_runs: list[Place] = []


class AskInput(TaskInput):
    """Input of `Ask`."""

    number: Place = Field(alias="judge_run")
    task_token: str


class SynthesizeInput(TaskInput):
    """Input of `Synthesize`."""

    task_token: str


def _reason(error: Any) -> Any:
    """Return the error of a state, which Step Functions tells as an object, as text."""
    return f"{error.get('Error')}: {error.get('Cause', '')}" if isinstance(error, dict) else error


class PublishInput(TaskInput):
    """Input of `Publish`. It has an error if an earlier state failed."""

    error: Annotated[str | None, BeforeValidator(_reason)] = None
