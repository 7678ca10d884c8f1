"""Functions on one machine: real processes, fed through a real Runtime API."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from local.functions.pool import UnknownFunctionError
from local.functions.worker import network_settings
from tests.support.processes import is_running, wait_until

ROOT = Path(__file__).parents[3]
NETWORK_SETTINGS = {
    spelling for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for spelling in (name, name.lower())
} | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}


# --- the handler -----------------------------------------------------------------------------------------------------


def test_a_handler_gets_the_event_and_answers(deploy):
    function = deploy("def handler(event, context): return {'got': event}")

    assert function({"a": [1, None, "ä"]}) == (False, {"got": {"a": [1, None, "ä"]}})


def test_a_handler_gets_lambdas_context(deploy):
    function = deploy(
        """
        def handler(event, context):
            return {
                "name": context.function_name, "version": context.function_version,
                "arn": context.invoked_function_arn, "memory": context.memory_limit_in_mb,
                "id": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
            }
        """,
        timeout=20,
    )

    _, first = function()
    _, second = function()

    assert (first["name"], first["version"], first["memory"]) == ("Function", "$LATEST", "128")
    assert first["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:Function"
    assert first["id"] != second["id"]
    assert 15_000 < first["left"] <= 20_000


def test_a_handler_has_only_the_environment_of_the_template_and_of_lambda(deploy, tmp_path, monkeypatch):
    for name in NETWORK_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ONLY_OF_THE_PARENT", "x")
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    layer = tmp_path / "layer"
    function = deploy(
        "import os\ndef handler(event, context): return dict(os.environ)",
        environment={"TABLE": "Runs", "EMPTY": ""},
        layers=(layer,),
    )

    _, environment = function()

    assert environment.pop("AWS_LAMBDA_RUNTIME_API").startswith("127.0.0.1:")
    assert environment.pop("_X_AMZN_TRACE_ID").startswith("Root=1-")
    assert environment == {
        "TABLE": "Runs",
        "EMPTY": "",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": "Function",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_REGION": "us-east-1",
        "AWS_SECRET_ACCESS_KEY": "local",
        "LAMBDA_TASK_ROOT": str(tmp_path / "code"),
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(layer),
        "TZ": ":UTC",
        "_HANDLER": "code.handler",
    }


def test_a_handler_has_the_network_settings_of_this_machine(deploy, monkeypatch):
    for name in NETWORK_SETTINGS:
        monkeypatch.setenv(name, f"/of/{name}")
    monkeypatch.setenv("no_proxy", "")
    source = "import os\ndef handler(event, context): return dict(os.environ)"
    function = deploy(source, environment={"ALL_PROXY": "its own"})

    _, environment = function()

    found = {name: environment[name] for name in NETWORK_SETTINGS if name in environment}
    expected = {name: f"/of/{name}" for name in NETWORK_SETTINGS if name != "no_proxy"}
    assert found == expected | {"ALL_PROXY": "its own"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"REQUESTS_CA_BUNDLE": "ca.pem"}, {"SSL_CERT_FILE": "{here}/ca.pem"}),
        ({"REQUESTS_CA_BUNDLE": "{here}/certificates"}, {"SSL_CERT_DIR": "{here}/certificates"}),
        ({"REQUESTS_CA_BUNDLE": "ca.pem", "SSL_CERT_FILE": "/other.pem"}, {"SSL_CERT_FILE": "/other.pem"}),
        ({"SSL_CERT_FILE": "ca.pem"}, {"SSL_CERT_FILE": "{here}/ca.pem"}),
        ({"SSL_CERT_DIR": "certificates"}, {"SSL_CERT_DIR": "{here}/certificates"}),
    ],
)
def test_certificates_are_named_for_the_http_client_of_the_functions(tmp_path, monkeypatch, environment, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "certificates").mkdir()

    found = network_settings({name: value.format(here=tmp_path) for name, value in environment.items()})

    found.pop("REQUESTS_CA_BUNDLE", None)
    assert found == {name: value.format(here=tmp_path) for name, value in expected.items()}


def test_a_variable_that_is_missing_in_the_template_is_missing_in_the_handler(deploy, monkeypatch):
    monkeypatch.setenv("RUNS_TABLE", "Runs")
    function = deploy("import os\ndef handler(event, context): return os.environ['RUNS_TABLE']")

    failed, error = function()

    assert failed
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'RUNS_TABLE'")


@pytest.mark.parametrize("built", [False, True])
def test_a_handler_imports_its_layer_as_source_and_as_built(deploy, tmp_path, built):
    packages = tmp_path / "layer" / ("python" if built else "")
    packages.mkdir(parents=True)
    (packages / "shared.py").write_text("VALUE = 7")
    function = deploy("import shared\ndef handler(event, context): return shared.VALUE", layers=(tmp_path / "layer",))

    assert function() == (False, 7)


def test_a_handler_imports_httpx_without_its_command_line(deploy):
    function = deploy("import sys, httpx\ndef handler(event, context): return [httpx.__name__, *sys.modules]")

    _, modules = function()

    assert modules[0] == "httpx"
    assert not {"click", "rich", "pygments"} & set(modules)


def test_garbage_is_collected_once_a_handler_is_imported(deploy):
    function = deploy(
        """
        import gc
        at_import = gc.isenabled()
        def handler(event, context): return at_import, gc.isenabled(), gc.get_freeze_count() > 0
        """
    )

    assert function() == (False, [False, True, True])


def test_a_handler_cannot_import_the_local_stack(deploy):
    function = deploy("import worker\ndef handler(event, context): return worker.__file__")

    assert function()[1]["errorType"] == "Runtime.ImportModuleError"


def test_a_module_is_imported_once_per_process(deploy):
    function = deploy(
        """
        from itertools import count
        numbers = count()
        def handler(event, context): return next(numbers)
        """
    )

    assert [function()[1] for _ in range(3)] == [0, 1, 2]


def test_an_edit_reaches_the_next_event(deploy):
    function = deploy("def handler(event, context): return 'before'")
    assert function() == (False, "before")

    function.write("def handler(event, context): return 'after'")
    os.utime(function.code / "code.py", ns=(1, 1))

    assert function() == (False, "after")


@pytest.mark.parametrize(("built", "value"), [(False, 2), (True, 1)])
def test_an_edit_of_a_layer_reaches_the_next_event_unless_it_is_built(deploy, tmp_path, built, value):
    shared = tmp_path / "layer" / ("python" if built else "") / "shared.py"
    shared.parent.mkdir(parents=True)
    shared.write_text("VALUE = 1")
    function = deploy("import shared\ndef handler(event, context): return shared.VALUE", layers=(tmp_path / "layer",))
    assert function() == (False, 1)

    shared.write_text("VALUE = 2")
    later = time.time_ns() + 10**9
    os.utime(shared, ns=(later, later))

    assert function() == (False, value)


def test_a_process_ends_after_five_idle_minutes(deploy):
    now = [0.0]
    function = deploy("import os\ndef handler(event, context): return os.getpid()", clock=lambda: now[0])
    _, pid = function()

    now[0] += 299
    assert function() == (False, pid)

    now[0] += 301
    assert function() != (False, pid)
    assert not is_running(pid)


# --- failures --------------------------------------------------------------------------------------------------------


def test_an_error_is_reported_as_lambda_reports_it(deploy):
    function = deploy("def handler(event, context): raise ValueError('no good')")

    failed, error = function()

    assert failed
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no good")
    assert len(error["stackTrace"]) == 1
    assert "code.py" in error["stackTrace"][0]
    assert function()[1]["requestId"] != error["requestId"]


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        ("", "other.handler", "Runtime.ImportModuleError", "Unable to import module 'other': No module named 'other'"),
        ("", "code.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'code'"),
        ("def", "code.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'code': invalid syntax"),
        ("raise RuntimeError('at import')", "code.handler", "RuntimeError", "at import"),
        ("def handler(e, c): return {1, 2}", "code.handler", "Runtime.MarshalError", "Unable to marshal response: "),
    ],
)
def test_a_handler_that_cannot_run_is_an_error_with_the_reason(deploy, source, handler, error_type, message):
    failed, error = deploy(source, handler=handler)()

    assert failed
    assert error["errorType"] == error_type
    assert error["errorMessage"].startswith(message)


def test_a_missing_code_folder_is_named_in_the_error(deploy, tmp_path):
    failed, error = deploy(code_dir=tmp_path / "nowhere")()

    assert failed
    assert "nowhere" in error["errorMessage"]


def test_an_event_that_exceeds_the_timeout_ends_its_process(deploy):
    function = deploy(
        """
        import os, time
        def handler(event, context):
            if event == "hang": time.sleep(60)
            return os.getpid()
        """,
        timeout=0.5,
    )
    _, pid = function()

    failed, error = function("hang")

    assert failed
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 0.50 seconds")
    assert not is_running(pid)
    assert function()[1] != pid


def test_a_process_that_is_killed_takes_the_processes_that_it_started_with_it(deploy, tmp_path):
    pid_file = tmp_path / "pid"
    function = deploy(
        """
        import pathlib, subprocess, time
        def handler(event, context):
            pathlib.Path(event).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
            time.sleep(60)
        """,
        timeout=0.5,
    )

    function(str(pid_file))

    wait_until(lambda: not is_running(int(pid_file.read_text())))


def test_a_cancelled_event_ends_its_process(deploy, tmp_path):
    pid_file = tmp_path / "pid"
    functions = deploy(
        """
        import os, pathlib, time
        def handler(event, context):
            pathlib.Path(event).write_text(str(os.getpid()))
            time.sleep(60)
        """
    ).functions
    running = functions.begin(functions.invoke("Function", json.dumps(str(pid_file)).encode()))
    wait_until(lambda: pid_file.exists() and pid_file.read_text())

    running.cancel()

    wait_until(lambda: not is_running(int(pid_file.read_text())))


@pytest.mark.parametrize(
    ("death", "reason"), [("os._exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "signal: killed")]
)
def test_a_process_that_dies_is_replaced(deploy, death, reason):
    function = deploy(f"import os\ndef handler(event, context): return {death} if event == 'die' else 'alive'")
    assert function() == (False, "alive")

    failed, error = function("die")

    assert failed
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(f"Error: Runtime exited with error: {reason}")
    assert function() == (False, "alive")


def test_a_process_that_died_while_idle_is_replaced(deploy):
    function = deploy("import os\ndef handler(event, context): return os.getpid()")
    _, pid = function()

    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: function()[1] != pid and not function()[0])


def test_an_answer_over_six_megabytes_is_an_error(deploy):
    function = deploy("def handler(event, context): return 'x' * 6 * 1024 * 1024 + 'x' * 200")

    failed, error = function()

    assert failed
    assert error["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_function_that_is_not_there_is_unknown(deploy):
    functions = deploy().functions

    with pytest.raises(UnknownFunctionError, match="Other"):
        functions.run(functions.invoke("Other", b"{}"))


# --- concurrency -----------------------------------------------------------------------------------------------------

MEETING = """
import os, time
from pathlib import Path

def handler(event, context):
    # Waits until the given number of processes have started.
    Path(event["at"], str(os.getpid())).touch()
    while len(os.listdir(event["at"])) < event["of"]:
        time.sleep(0.005)
    return os.getpid()
"""


def meet(function, place, events):
    """Send events concurrently and return the ids of the processes that answered."""
    place.mkdir()
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(function({"at": str(place), "of": 3}))) for _ in range(events)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(failed for failed, _ in answers)
    return {pid for _, pid in answers}


def test_concurrent_events_run_in_processes_of_their_own(deploy, tmp_path):
    function = deploy(MEETING, timeout=60, max_workers=3)

    assert len(meet(function, tmp_path / "place", events=3)) == 3


def test_events_that_wait_for_long_get_spare_processes(deploy, tmp_path):
    function = deploy(MEETING, timeout=60, max_workers=1, spare_workers=2)

    assert len(meet(function, tmp_path / "place", events=3)) == 3


def test_more_events_than_processes_wait(deploy, tmp_path):
    function = deploy(MEETING, timeout=60, max_workers=3)

    assert len(meet(function, tmp_path / "place", events=9)) == 3


# --- clocks ---


def test_the_clock_of_a_function_can_be_set(deploy):
    function = deploy(
        "import time\ndef handler(event, context): return time.time(), context.get_remaining_time_in_millis() / 1000",
        timeout=20,
    )
    function({})

    function.functions.set_clock("Function", 100.0)
    _, (ahead, left) = function({})
    function.functions.set_clock("Function", 0.0)
    _, (true, _) = function({})

    assert 90 < ahead - time.time() <= 100
    assert 0 < left <= 20
    assert true <= time.time()


# --- the end ---------------------------------------------------------------------------------------------------------


def test_closing_ends_every_process_and_refuses_further_events(deploy, portal, tmp_path):
    function = deploy(
        """
        import os, pathlib, time
        def handler(event, context):
            if event:
                pathlib.Path(event).write_text(str(os.getpid()))
                time.sleep(60)
            return os.getpid()
        """
    )
    busy_file = tmp_path / "busy"
    busy = threading.Thread(target=function, args=(str(busy_file),))
    busy.start()
    wait_until(lambda: busy_file.exists() and busy_file.read_text())
    _, idle = function()

    portal.call(function.functions.close)

    busy.join()
    assert not is_running(idle)
    assert not is_running(int(busy_file.read_text()))
    with pytest.raises(UnknownFunctionError):
        function()


def test_a_process_ends_with_its_parent_even_while_it_handles_an_event(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "code.py").write_text(
        "import os, pathlib, time\n"
        "def handler(event, context):\n"
        "    pathlib.Path(event).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
    )
    pid_file = tmp_path / "pid"
    program = f"""
        import asyncio, json
        from pathlib import Path
        from local.functions.pool import Functions
        from local.template import Function

        function = Function("F", "F", "arn:F", "code.handler", Path({str(tmp_path / "code")!r}), (), {{}}, 60, 128, "x")

        async def main():
            await Functions([function]).invoke("F", json.dumps({str(pid_file)!r}).encode())

        asyncio.run(main())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT)
    wait_until(lambda: pid_file.exists() and pid_file.read_text())

    parent.kill()
    parent.wait()

    pid = int(pid_file.read_text())
    wait_until(lambda: not is_running(pid))


def test_the_output_of_a_function_is_in_its_log(deploy):
    function = deploy(
        """
        import sys
        def handler(event, context):
            print("to standard output")
            print("to standard error", file=sys.stderr)
            raise ValueError("no good")
        """
    )

    function()

    log = function.log.read_text()
    assert log.startswith("to standard output\nto standard error\n[ERROR] ValueError: no good\n")
