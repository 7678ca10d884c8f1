"""Dates and times in arguments."""

from datetime import date, datetime


def iso_8601(value: date | str | None) -> str | None:
    """Return a date or a time in ISO 8601. A time without a zone is in the zone of this machine.

    A text is returned unchanged.
    """
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone()).isoformat()
    return value.isoformat() if isinstance(value, date) else value
