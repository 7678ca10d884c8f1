"""A fake Codegen in a process of its own that says how long it took to answer.

    with upstream() as codegen:
        ...  # requests to codegen.url
        codegen.seconds()

The time is taken at the connection, from a request's first byte in to its answer's last byte out, so that it is the
same for whoever asks and however they ask.
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

# Runs that there are from the start, so that a page of them is a full one.
RUNS = 100


class Upstream:
    """The fake from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, trust_env=False)

    def seconds(self) -> list[float]:
        """Return how long each answer took since this was last asked."""
        answer: list[float] = self._client.get("/seconds").raise_for_status().json()
        return answer


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Start a fake without rate limits, whose runs end at once."""
    with subprocess.Popen([sys.executable, "-m", __name__], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield Upstream(process.stdout.readline().strip())
        finally:
            process.kill()


def main() -> None:
    """Serve until killed."""
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
