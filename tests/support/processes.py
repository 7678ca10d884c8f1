"""Processes that a test watches, and conditions that it waits for."""

import subprocess
import time
from collections.abc import Callable


def is_running(pid: int) -> bool:
    """Return whether a process runs. A zombie, which has ended but was not awaited by its parent, does not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(listed) and not listed.startswith("Z")


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until a condition holds; fail after some seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"still not so after {seconds} s"
        time.sleep(0.01)
