"""A ring: Codegen's webhook calls the doorbell, and the run that the call names is read now.

Nobody has published what Codegen sends, and anybody who knows the URL can send anything. So the body is only searched
for the id of a run that is followed here, and nothing of it is believed: the poller reads the run itself.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable

from codegen_runs import forms
from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.logs import logger
from codegen_runs.problems import NotFound, StorageUnavailable
from codegen_runs.runs import following
from codegen_runs.storage.doorbells import Doorbell
from codegen_runs.webhook_endpoints import forwarding

SEARCHED_BYTES = 65_536
MOST_IDS = 5
"""How many numbers in a body are looked up, each of which costs a read or two."""

_ID = re.compile(rb'"([A-Za-z_]{0,40}id)"\s{0,8}:\s{0,8}"?([0-9]{1,16})(?![0-9.eE])', re.IGNORECASE)


class DoorbellNotFound(NotFound):
    """No doorbell has this URL."""

    code = "doorbell_not_found"
    remedy = "An admin can turn the doorbell on."

    def __init__(self) -> None:
        super().__init__("There is no doorbell here.")


def ring(doorbell: str, headers: Iterable[tuple[str, str]], body: bytes, *, backend: Backend) -> None:
    """Have the run that a call names read now, and forward the call if the doorbell replaced another webhook.

    Args:
        doorbell: The last segment of the URL: the organization and the key.
        headers: The headers of the call.
        body: The body of the call.
        backend: The clock, the tables and the kick.

    Raises:
        DoorbellNotFound: No doorbell has this URL.
        TooLarge: The call is to be forwarded and does not fit the queue.
        StorageUnavailable: The doorbell cannot be read, or the call cannot be put into the queue.
    """
    found = _find(doorbell, backend)
    if found.replaced and found.replaced.enabled:
        forwarding.forward(found.replaced.url, headers, body)
    try:
        _read_now(found.org_id, body, backend)
    except StorageUnavailable:
        # The run is read at its time. An error would have Codegen repeat a call that is forwarded already.
        logger.warning("A ring of the doorbell was lost.", exc_info=True)


def ids_in(body: bytes) -> list[int]:
    """Return the numbers in the beginning of a body that may be the id of a run, the likeliest first."""
    found = [(name.lower(), int(number)) for name, number in _ID.findall(body[:SEARCHED_BYTES])]
    likeliest_first = sorted(found, key=lambda each: b"run" not in each[0])
    ids = dict.fromkeys(number for _, number in likeliest_first if number <= forms.LARGEST_ID)
    return list(ids)[:MOST_IDS]


def _find(doorbell: str, backend: Backend) -> Doorbell:
    form = re.fullmatch(forms.DOORBELL, doorbell)
    if form is None:
        raise DoorbellNotFound
    found = backend.doorbells.get(int(form[1]))
    known = found is not None and hmac.compare_digest(found.key, form[2])
    if found is None or not known or not found.rings(milliseconds(backend.clock.now())):
        raise DoorbellNotFound
    return found


def _read_now(org_id: int, body: bytes, backend: Backend) -> None:
    for agent_run_id in ids_in(body):
        if watch := backend.runs.find(org_id, agent_run_id):
            following.ring(watch, backend=backend)
            return
