"""Fork workers that find the packages of their layer imported: `fork_server.py RUNTIME SOCKET PACKAGE...`.

`forking.py` runs this file, alone in a process. Each message on the socket is the environment of one worker (JSON),
with two file descriptors: its log, and a socket for reports. The worker reports its process id there, and continues
when it gets an answer. This process reports the worker's status when it has ended. Standard input is for the workers,
which end when the stack no longer holds it. The process ends when its socket is closed and its last worker has ended.

The process has one thread, and the modules that it imports start nothing. It uses only the standard library and nothing
else of the local stack, so that a handler can import only what its layer and its folder hold.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# A message has an environment, which Lambda limits to 4 KB, and the settings of this machine's network.
_MESSAGE_BYTES = 1 << 17


def main() -> None:
    """Fork workers until the socket is closed, and be a worker in each new process."""
    _, path, descriptor, *packages = sys.argv
    spec = importlib.util.spec_from_file_location("runtime", path)
    assert spec
    assert spec.loader
    # Not in `sys.modules`: a handler must not be able to import it.
    runtime = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runtime)
    before = set(sys.modules)
    with runtime.quick_imports():
        is_worker = _serve(socket.socket(fileno=int(descriptor)), packages)
    if is_worker:
        if _shadowed(set(sys.modules) - before):
            os.execv(sys.executable, [sys.executable, "-P", "-u", path])
        runtime.main()


def _serve(control: socket.socket, packages: list[str]) -> bool:
    """Fork a process for each request. Return True in each new process, and False when there are no more requests."""
    ended, signals = socket.socketpair()
    signals.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(signals.fileno())
    reports: dict[int, socket.socket] = {}
    imports = _import(packages)
    is_open = is_importing = True
    while is_open or reports:
        ready, _, _ = select.select([ended, *([control] if is_open else [])], [], [], 0 if is_importing else None)
        if ended in ready:
            ended.recv(4096)
            _report(reports)
        if control in ready:
            message, files, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 2)
            if not message:
                is_open = is_importing = False
                continue
            log, report = files[0], socket.socket(fileno=files[1])
            try:
                pid = os.fork()
            except OSError:  # the stack sees that there is no process
                pid = -1
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for other in (control, ended, signals, *reports.values()):
                    other.close()
                _become(json.loads(message), log, report)
                return True
            os.close(log)
            if pid > 0:
                reports[pid] = report
            else:
                report.close()
        elif is_importing:
            is_importing = next(imports, None) is not None
    return False


def _import(packages: list[str]) -> Iterator[str]:
    """Import all modules of some packages, one for each step. A worker meets the errors of those that cannot be."""
    for package in packages:
        if importlib.util.find_spec(package):
            prefix = f"{package}."
            for found in pkgutil.walk_packages(_imported(package).__path__, prefix, onerror=_imported):
                yield found.name
                _imported(found.name)


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - whatever a module raises, its worker raises it again
        return None


def _report(reports: dict[int, socket.socket]) -> None:
    """Report the status of each worker that has ended: the negative number of a signal, or the exit status."""
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        # The stack no longer reads it if the start was cancelled.
        with reports.pop(pid) as report, contextlib.suppress(OSError):
            report.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(environment: dict[str, str], log: int, report: socket.socket) -> None:
    """Make this process what a new one would be: its session, its output and its environment."""
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    with report:
        report.sendall(b"%d\n" % os.getpid())
        if not report.recv(1):
            os._exit(1)  # the start was cancelled


def _shadowed(modules: set[str]) -> bool:
    """Return whether the function's folder has a module of its own with the name of one that is imported already."""
    try:
        names = {name.partition(".")[0] for name in os.listdir(os.environ["LAMBDA_TASK_ROOT"])}  # noqa: PTH208
    except OSError:
        return False
    return any(module.partition(".")[0] in names for module in modules)


if __name__ == "__main__":
    main()
