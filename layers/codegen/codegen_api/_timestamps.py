"""Times in responses."""

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Timestamp(datetime):
    """A `datetime` in UTC that also has the `text` that the server sent."""

    @property
    def text(self) -> str:
        """The text that the server sent; ISO 8601 for a time that was computed."""
        text: str | None = self.__dict__.get("text")
        return self.isoformat() if text is None else text

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a time. A time without a zone is in UTC.

        Raises:
            ValueError: The text is not a time in ISO 8601.
        """
        moment = cls.fromisoformat(text.strip())
        try:
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(f"out of range: {text!r}") from error
        moment.__dict__["text"] = text
        return moment

    @classmethod
    def of(cls, value: Any) -> Self | None:
        """Return the time in a value; None if it is no text or no time."""
        try:
            return cls.read(value) if isinstance(value, str) else None
        except ValueError:
            return None

    def __reduce_ex__(self, _protocol: Any) -> Any:
        return type(self).read, (self.text,)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(cls.read, core_schema.str_schema(strict=True))
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda moment: moment.text, return_schema=core_schema.str_schema()
            ),
        )
