"""Processes that a test watches, and conditions that it waits for."""

import subprocess
import time
from collections.abc import Callable


def is_running(pid: int) -> bool:
    """Tell whether a process runs. One that has ended and that no parent has waited for does not."""
    listed = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(listed) and not listed.startswith("Z")


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until a condition holds, and fail after a number of seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"still not so after {seconds} s"
        time.sleep(0.01)
