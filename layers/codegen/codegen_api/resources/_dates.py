"""Dates and times as servers read them."""

from datetime import date, datetime


def moment(value: "date | str | None") -> str | None:
    """Return a date or a time in ISO 8601; a time without a zone is in that of this machine. Text stays as it is."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone()).isoformat()
    return value.isoformat() if isinstance(value, date) else value
