"""Dates and times in arguments."""

from datetime import date, datetime

from .._errors import InvalidArgumentError


def iso_8601(value: date | str | None) -> str | None:
    """Return a date or a time in ISO 8601. A time without a zone is in the zone of this machine.

    A text is returned unchanged.

    Raises:
        InvalidArgumentError: It is something else, or a time that this machine's zone cannot represent.
    """
    if isinstance(value, datetime):
        try:
            return (value if value.tzinfo else value.astimezone()).isoformat()
        except (ValueError, OverflowError, OSError):
            raise InvalidArgumentError(f"not a time with a zone: {value}") from None
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, date):
        raise InvalidArgumentError(f"not a date, a time or a text: {value!r}")
    return value.isoformat()
