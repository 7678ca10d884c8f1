"""Workers that a fork server forks: each is what a process that was started from nothing would be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from local.functions.forking import PACKAGES, ForkServers, read_at_start
from local.functions.pool import UnknownFunctionError
from local.functions.worker import RUNTIME, runtime_environment
from tests.integration.local.conftest import Deployed, a_function
from tests.support import backend
from tests.support.processes import is_running, wait_until

PIDS = "import os\ndef handler(event, context): return os.getpid(), os.getppid()"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


@pytest.fixture
def layer(tmp_path):
    """A layer with the package that a fork server imports. Write a module of it."""
    package = tmp_path / "layer" / "codegen_runs"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()

    def write(source: str) -> Path:
        (package / "shared.py").write_text(source)
        later = time.time_ns() + 10**9
        os.utime(package / "shared.py", ns=(later, later))
        return tmp_path / "layer"

    return write


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def is_fork_server(pid: int) -> bool:
    return b"fork_server.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def is_asleep(pid: int) -> bool:
    return "State:\tS" in Path(f"/proc/{pid}/status").read_text()


def next_worker(function: Deployed, pid: int) -> Any:
    """End a worker, and return the answer of the one that replaces it."""
    os.kill(pid, signal.SIGKILL)
    answers: list[Any] = []

    def answered() -> bool:
        failed, answer = function()  # fails before the stack has noticed the end
        answers.append(answer)
        return not failed

    wait_until(answered)
    return answers[-1]


def test_workers_are_forked_by_one_process(deploy) -> None:
    function = deploy(PIDS)

    _, (first, server) = function()
    second, again = next_worker(function, first)

    assert first != second
    assert server == again
    assert is_fork_server(server)


def test_a_worker_finds_the_modules_of_its_layer_imported(deploy, layer) -> None:
    source = "import os\nfrom codegen_runs import shared\ndef handler(event, context): return os.getpid(), shared.PID"
    function = deploy(source, layers=(layer("import os\nPID = os.getpid()"),))

    _, (pid, imported_by) = function()
    while pid == imported_by:  # the first workers may come before the import, and import it themselves
        pid, imported_by = next_worker(function, pid)


def test_an_edit_of_an_imported_module_reaches_the_next_event(deploy, layer) -> None:
    source = (
        "import os\nfrom codegen_runs import shared\ndef handler(event, context): return os.getppid(), shared.VALUE"
    )
    function = deploy(source, layers=(layer("VALUE = 1"),))
    _, (server, value) = function()
    assert value == 1

    layer("VALUE = 'another'")

    assert function()[1][1] == "another"
    wait_until(lambda: not is_running(server))


def test_a_module_that_cannot_be_imported_is_the_error_of_its_function_only(deploy, layer) -> None:
    layers = (layer("raise RuntimeError('half written')"),)
    function = deploy("from codegen_runs import shared\ndef handler(event, context): return 1", layers=layers)

    assert function()[1]["errorMessage"] == "half written"
    function.write("def handler(event, context): return 'another'")
    assert function() == (False, "another")


def test_a_worker_leads_a_session_of_its_own(deploy) -> None:
    function = deploy("import os\ndef handler(event, context): return os.getpid(), os.getsid(0), os.getpgrp()")

    _, ids = function()

    assert len(set(ids)) == 1


def test_a_worker_has_no_file_and_no_signal_handler_of_its_fork_server(deploy, tmp_path) -> None:
    function = deploy(
        """
        import os, signal, time
        from pathlib import Path
        def handler(event, context):
            Path(event, str(os.getpid())).touch()
            while len(os.listdir(event)) < 3:
                time.sleep(0.005)
            paths = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
            files = [os.readlink(path) for path in paths if os.path.lexists(path)]  # without the folder itself
            usual = signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL, signal.set_wakeup_fd(-1)
            return sum(name.startswith("socket") for name in files), len(files), usual
        """,
        timeout=60,
    )
    place = tmp_path / "place"
    place.mkdir()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(function(str(place)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Standard input, output and error, and the one connection to the Runtime API.
    assert answers == [(False, [1, 4, [True, -1]])] * 3


def test_a_worker_cannot_import_the_local_stack(deploy) -> None:
    source = """
        import importlib.util
        def handler(event, context):
            return [name for name in ("fork_server", "forking", "runtime", "worker") if importlib.util.find_spec(name)]
        """

    assert deploy(source)() == (False, [])


def test_workers_have_random_numbers_of_their_own(deploy, layer) -> None:
    function = deploy(
        """
        import os, random, ssl, sys, uuid
        is_forked_with_them = "codegen_runs.shared" in sys.modules
        from codegen_runs import shared
        def handler(event, context):
            numbers = random.random(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(), shared.secrets.token_hex()
            return os.getpid(), is_forked_with_them, numbers
        """,
        layers=(layer("import random, secrets, ssl, uuid\nrandom.random()\nssl.RAND_bytes(8)\nuuid.uuid4()"),),
    )
    _, (pid, is_forked_with_them, numbers) = function()
    seen = []
    while len(seen) < 3:
        pid, is_forked_with_them, numbers = next_worker(function, pid)
        seen.extend([numbers] if is_forked_with_them else [])

    assert all(len(set(numbers)) == 3 for numbers in zip(*seen, strict=True))


def test_a_module_of_the_folder_goes_before_one_that_is_imported_already(deploy, layer) -> None:
    function = deploy(
        "import colorsys, os, sys\ndef handler(event, context): return os.getpid(), os.getppid(), colorsys.__file__",
        layers=(layer("import colorsys"),),
    )
    (function.code / "colorsys.py").touch()
    _, (pid, server, file) = function()
    # When it waits without a time limit, it has imported everything.
    wait_until(lambda: is_asleep(server))
    _, again, file_of_another = next_worker(function, pid)

    assert server == again
    assert file == file_of_another == str(function.code / "colorsys.py")


def test_a_function_with_a_wrapper_is_started_from_nothing(deploy, tmp_path) -> None:
    wrapper = tmp_path / "layer" / "wrap"
    wrapper.parent.mkdir()
    wrapper.write_text('#!/bin/sh\nexec "$@"\n')
    wrapper.chmod(0o755)
    function = deploy(PIDS, layers=(wrapper.parent,), environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrap"})

    assert function()[1][1] == os.getpid()


def test_a_fork_server_that_died_is_replaced_and_its_workers_are_killed(deploy, tmp_path) -> None:
    function = deploy(
        """
        import os, pathlib, subprocess, time
        def handler(event, context):
            if event:
                child = subprocess.Popen(["sleep", "60"])
                pathlib.Path(event).write_text(f"{os.getpid()} {child.pid} {os.getppid()}")
                time.sleep(60)
            return os.getppid()
        """,
        timeout=60,
    )
    pids = tmp_path / "pids"
    answers = []
    busy = threading.Thread(target=lambda: answers.append(function(str(pids))))
    busy.start()
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 3)
    worker, child, server = map(int, pids.read_text().split())

    os.kill(server, signal.SIGKILL)
    busy.join()

    failed, error = answers[0]
    assert failed
    assert error["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    wait_until(lambda: not is_running(worker) and not is_running(child), 10)
    failed, another = function()
    assert not failed
    assert another != server


def test_closing_ends_the_fork_server(deploy, portal) -> None:
    function = deploy(PIDS)
    _, (_, server) = function()

    portal.call(function.functions.close)

    assert not is_running(server)


def test_closing_starts_no_worker_for_the_events_that_wait(deploy, portal, tmp_path) -> None:
    function = deploy(
        """
        import pathlib, time
        def handler(event, context):
            pathlib.Path(event).touch()
            time.sleep(60)
        """,
        max_workers=1,
        timeout=60,
    )
    started = tmp_path / "started"
    event = json.dumps(str(started)).encode()
    first, *others = [function.functions.begin(function.functions.invoke("Function", event)) for _ in range(3)]
    wait_until(started.exists)

    portal.start_task_soon(function.functions.close).result(20)

    assert first.result(5).is_error
    for other in others:
        with pytest.raises(UnknownFunctionError):
            other.result(5)


def test_a_start_that_is_cancelled_leaves_no_process(tmp_path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text("def handler(event, context): return 1")

    async def cancel(address: str) -> None:
        environment = runtime_environment(a_function(tmp_path), address)
        servers = ForkServers(sys.executable, RUNTIME)
        first = await servers.fork(environment, 0, 2)
        (server,) = filter(is_fork_server, children(os.getpid()))
        cancelled = asyncio.create_task(servers.fork(environment, 0, 2))
        for _ in range(10):  # it sends its message
            await asyncio.sleep(0)
        # The event loop waits with this, so that it does not read the process id which is there.
        wait_until(lambda: (forked := children(server) - {first.pid}) and all(map(is_asleep, forked)))
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        await asyncio.to_thread(wait_until, lambda: children(server) == {first.pid}, 10)
        last = await servers.fork(environment, 0, 2)
        for forked in (first, last):
            os.killpg(forked.pid, signal.SIGKILL)
            assert await forked.wait() == -signal.SIGKILL
        await servers.close()

    # A Runtime API that has no event.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        asyncio.run(cancel(f"{host}:{port}"))


RECORD = """
import importlib, json, os, pkgutil, sys, threading
read = set()
original = type(os.environ).__getitem__
def record(self, name):
    read.add(name)
    return original(self, name)
type(os.environ).__getitem__ = record
sys.modules["httpx._main"] = None
for package in sys.argv[1:]:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(found.name)
files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd") if int(number) > 2]
sockets = [name for name in map(os.path.realpath, files) if "socket:" in name]
print(json.dumps([sorted(read), threading.active_count(), len(os.listdir("/proc/self/task")), sockets]))
"""


def test_what_a_fork_server_imports_starts_nothing_and_reads_only_the_environment_that_it_has() -> None:
    function = backend.template().functions["CreateAgentRun"]
    environment = read_at_start(runtime_environment(function, "127.0.0.1:9"))

    recorded = subprocess.run(
        [sys.executable, "-P", "-c", RECORD, *PACKAGES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        close_fds=True,
    )

    read, threads, tasks, sockets = json.loads(recorded.stdout)
    assert (threads, tasks, sockets) == (1, 1, [])
    # The interpreter's own, which it looks for before anything is imported, begin with an underscore.
    names = {name for name in read if not name.startswith("_")}
    assert names == set(read_at_start(dict.fromkeys(names, "")))
    assert "POWERTOOLS_SERVICE_NAME" in names
    assert environment["POWERTOOLS_SERVICE_NAME"]
