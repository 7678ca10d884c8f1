"""The bodies of requests, and the warnings about what is accepted in them and ignored."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

_Answer = TypeVar("_Answer")


class Warned(BaseModel):
    """Something the caller should know about a request that was served all the same.

    Attributes:
        code: The kind of warning, for programs.
        pointer: A JSON pointer to the part of the body that it is about; empty for the whole.
        detail: The warning, for people.
    """

    code: str
    pointer: str
    detail: str


IgnoredFields = Annotated[list[Warned], Field(description="Accepted fields that have no effect.")]
"""The warnings of an answer that can only be about ignored fields."""

Warnings = Annotated[
    list[Warned],
    Field(description="What did not succeed although the request did, and accepted fields that have no effect."),
]
"""The warnings of an answer that may be about more than ignored fields."""


class Body(BaseModel):
    """A request body. It may carry more than its fields, as the Codegen API's may; `ignored` tells what."""

    # Errors of validation are logged and answered; what was sent is in neither.
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    def ignored(self) -> list[Warned]:
        """Return a warning for each unknown key."""
        return [ignored(key) for key in self.model_extra or {}]


def ignored(key: str) -> Warned:
    """Return the warning that a key of the body had no effect."""
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    return Warned(code="ignored_parameter", pointer=pointer, detail=f"{key} was ignored: there is no such parameter.")


def with_warnings(answer: _Answer, warnings: list[Warned]) -> _Answer:
    """Return the answer with a key `warnings`, or unchanged where there are none.

    Args:
        answer: A model that takes extra keys, or JSON. JSON that is no object has no room for warnings.
        warnings: What to tell.
    """
    told: list[dict[str, Any]] = [warning.model_dump() for warning in warnings]
    if not told:
        return answer
    if isinstance(answer, BaseModel):
        return answer.model_copy(update={"warnings": told})
    if isinstance(answer, dict):
        return answer | {"warnings": told}  # type: ignore[return-value]
    return answer
