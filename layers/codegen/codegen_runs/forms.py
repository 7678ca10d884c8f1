"""The forms of the ids, cursors and words in requests. The OpenAPI document has them as patterns and bounds.

A pattern is one for Python's `re`, for Pydantic and for JSON Schema, and stands for the whole text.
"""

LARGEST_ID = 2**53 - 1
"""The largest id at the Codegen API that a request may name: each JSON parser reads it exactly."""

LARGEST_OFFSET = 10**9
"""How many entries of a list a request may skip at most."""

LONGEST_FILTER = 500
"""The most characters of a filter: a tag, a repository, words to search for."""

RUN = r"^([0-9]{1,18}|[A-Za-z][A-Za-z0-9_-]{0,79})$"
"""A run: the Codegen API's id, or the key of a run that has none yet."""

CHECKPOINT = r"^([0-9]{1,18}|[A-Za-z][A-Za-z0-9_-]{0,79})\.([0-9]{1,4})-([0-9]{1,10})$"
"""A checkpoint: its run, and the event there that it was made after."""

AGENT = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
"""An agent."""

MULTI_RUN = r"^[A-Za-z0-9-]{1,64}$"
"""A multi-run."""

WEBHOOK_ENDPOINT = r"^we-[0-9a-f]{16}$"
"""A webhook endpoint."""

WEBHOOK_MESSAGE = r"^[A-Za-z0-9_.~-]{1,200}$"
"""A message to a webhook endpoint."""

DOORBELL = r"^([0-9]{1,16})-([A-Za-z0-9_-]{43})$"
"""The last segment of the URL of a doorbell: the organization and the key."""

API_TOKEN = r"^[A-Za-z0-9-]{1,64}$"  # noqa: S105 - the form of an id
"""An API token of this deployment, by its id."""

AFTER = r"^(([0-9]{1,4})-([0-9]{1,10})(~[A-Za-z0-9_-]*)?)?$"
"""The id of an event after which a log is read, its epoch and its number; nothing for the start of the log.

After the tilde there is a stream key (see `live.tickets`).
"""

BEFORE = r"^(latest|([0-9]{1,4})-([0-9]{1,10})(~[A-Za-z0-9_-]*)?)$"
"""The id of an event before which a log is read, as in `AFTER`; or `latest`, for its end."""

CURSOR = r"^([A-Za-z0-9_-]{22,1000})?$"
"""A cursor of a list; nothing for its start."""

TICKET = r"^[A-Za-z0-9_-]{43}$"
"""A stream ticket."""

ENTITY_TAGS = r'^\s*(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)\s*$'
"""The ETags of `If-Match`."""

STATUSES = r"^[A-Za-z_, ]*$"
"""Words for statuses, separated by commas."""

SOURCE_TYPE = r"^[A-Za-z0-9_-]{0,64}$"
"""What started a run, as Codegen names it."""

CONSOLE_VERSION = r"^(latest|[0-9a-f]{12})$"
"""A version of the console: a hash of its files; or `latest`."""

CONSOLE_FILE = r"^[a-z_]+\.[a-z]+$"
"""A file of the console."""

PROVIDER = r"^[ -~]{1,100}$"
"""A provider of OAuth tokens, as Codegen names it."""
