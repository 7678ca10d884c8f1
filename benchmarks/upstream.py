"""A fake Codegen in a process of its own that reports how long its answers took.

    with upstream() as codegen:
        ...  # requests to codegen.url
        codegen.seconds()

The time is measured at the connection, from a request's first byte to its answer's last byte, so that it does not
depend on the client.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from local import loopback
from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, DEMO_USER_ID, FakeCodegen, create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent

# The number of runs at the start, enough for a full page.
RUNS = 100


class Upstream:
    """A client of the fake's process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, trust_env=False)

    def seconds(self) -> list[float]:
        """Return how long each answer took since the last call."""
        answer: list[float] = self._client.get("/seconds").raise_for_status().json()
        return answer


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Start a fake without rate limits whose runs end at once."""
    with subprocess.Popen([sys.executable, "-m", __name__], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield Upstream(process.stdout.readline().strip())
        finally:
            process.kill()


def main() -> None:
    """Serve until the process is killed."""
    fake = FakeCodegen(pace=0, limits={})
    for number in range(RUNS):
        fake.start(
            fake.organizations[DEMO_ORG_ID], f"Task {number}", user_id=DEMO_USER_ID, repo_id=DEMO_REPO_ID, ago=RUNS
        )
    app = create_app(fake)
    taken: list[float] = []

    class Stopwatch(H11Protocol):
        started: float | None = None

        def data_received(self, data: bytes) -> None:
            self.started = self.started or time.perf_counter()
            super().data_received(data)

        def on_response_complete(self) -> None:
            if self.started and self.scope["path"] != "/seconds":
                taken.append(time.perf_counter() - self.started)
            self.started = None
            super().on_response_complete()

    @app.get("/seconds")
    async def seconds() -> Any:
        answer = taken.copy()
        taken.clear()
        return answer

    with loopback.listen() as listening:
        print(loopback.url(listening), flush=True)
        uvicorn.Server(uvicorn.Config(app, http=Stopwatch, ws="none", lifespan="off", log_level="error")).run(
            [listening]
        )


if __name__ == "__main__":
    main()
