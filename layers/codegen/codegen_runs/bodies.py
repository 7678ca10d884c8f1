"""The base of request bodies, which texts are blank, and the warnings of answers."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar
from unicodedata import category

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from codegen_runs import forms
from codegen_runs.problems import Unprocessable

_Answer = TypeVar("_Answer")


class Warned(BaseModel):
    """A warning about a request that succeeded.

    Attributes:
        code: The kind of warning, for programs.
        pointer: A JSON pointer to the part of the body that the warning is about; empty for the whole body.
        detail: The warning as a sentence.
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


UpstreamId = Annotated[int, Field(ge=0, le=forms.LARGEST_ID)]
"""An id of the Codegen API."""

WebUrl = Annotated[str, Field(min_length=1, max_length=2083, json_schema_extra={"format": "uri"})]
"""A URL in a body. The Codegen API checks its form."""


class Body(BaseModel):
    """A request body. Like the Codegen API, it accepts unknown fields; `ignored` returns a warning for each."""

    # Validation errors are logged and returned, both without the input.
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show which fields a body has, without their values: Powertools logs bodies at level DEBUG."""
        return ((name, ...) for name in self.model_fields_set)

    def ignored(self) -> list[Warned]:
        """Return a warning for each unknown field."""
        return [ignored(key) for key in self.model_extra or {}]

    def unknown(self) -> Mapping[str, Any]:
        """Return the unknown fields, for an operation that passes them on to the Codegen API.

        Raises:
            Unprocessable: A field holds a number that JSON does not have.
        """
        return finite(self.model_extra or {})

    def passed_on(self) -> list[Warned]:
        """Return a warning for each unknown field of an operation that passes them on."""
        return [_passed_on(key) for key in self.model_extra or {}]


def finite(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a body. Raises `Unprocessable` if a field holds a number that JSON does not have."""
    for name, value in body.items():
        try:
            json_text(value)
        except PydanticCustomError as error:
            raise Unprocessable(errors=[{"loc": ["body", name], "msg": error.message(), "type": error.type}]) from None
    return body


# Characters that show nothing, although their category is that of letters or marks.
_INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)


def is_blank(text: str) -> bool:
    """Return whether a text shows nothing: it is empty, or only white space, format and control characters."""
    return all(category(each) in ("Cc", "Cf", "Zl", "Zp", "Zs") or each in _INVISIBLE for each in text)


def _not_blank(text: str) -> str:
    if is_blank(text):
        raise PydanticCustomError("string_blank", "Input should have at least one visible character")
    return text


NotBlank = AfterValidator(_not_blank)
"""Refuses a text that shows nothing, such as a prompt of spaces."""


def unfit(message: str, *place: str | int) -> ValidationError:
    """Return the error that a model's validator raises when its fields do not fit together.

    It names the field to correct, which a `ValueError` cannot do, and Pydantic adds no words to the message.

    Args:
        message: What is wrong.
        place: The steps from the model to the field; none for the model itself.
    """
    error = InitErrorDetails(
        type=PydanticCustomError("unfit_fields", "{message}", {"message": message}), loc=place, input=None
    )
    return ValidationError.from_exception_data("fields", [error])


def json_text(value: Any) -> str:
    """Return a value of a body as JSON text. Raises `PydanticCustomError` for a number that JSON does not have."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:  # Python reads 1e999 as infinity.
        raise PydanticCustomError("finite_number", "Input should hold finite numbers only") from None


def ignored(key: str) -> Warned:
    """Return the warning that a field of the body has no effect."""
    return _unknown(key, f"{key} was ignored, because there is no such parameter.")


def _passed_on(key: str) -> Warned:
    detail = f"{key} was passed on to the Codegen API. It is no documented parameter, so it may have no effect."
    return _unknown(key, detail)


def _unknown(key: str, detail: str) -> Warned:
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    return Warned(code="ignored_parameter", pointer=pointer, detail=detail)


def with_warnings(answer: _Answer, warnings: list[Warned]) -> _Answer:
    """Return the answer with its warnings in a field `warnings`; unchanged if there are none.

    Args:
        answer: A model that accepts extra fields, or JSON. JSON that is not an object cannot hold warnings.
        warnings: The warnings.
    """
    dumped: list[dict[str, Any]] = [warning.model_dump() for warning in warnings]
    if not dumped:
        return answer
    if isinstance(answer, BaseModel):
        return answer.model_copy(update={"warnings": dumped})
    if isinstance(answer, dict):
        return answer | {"warnings": dumped}  # type: ignore[return-value]
    return answer
