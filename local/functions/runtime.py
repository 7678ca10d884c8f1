"""Run one handler as Lambda does: the worker's side of the Lambda Runtime API.

`worker.py` runs this file, alone in a process, with the environment of one function. It uses only the standard library
and nothing else of the local stack, so that a handler can import only what its layer and its folder hold. Errors have
the shape that Lambda's own Python runtime gives them.
"""

from __future__ import annotations

import contextlib
import gc
import http.client
import importlib
import json
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RUNTIME_API = "/2018-06-01/runtime"
# httpx's command line, with the packages that it needs. The layer does not have them, and httpx does without.
_NOT_IN_THE_LAYER = "httpx._main"
_true_time = time.time


class LambdaError(Exception):
    """An error outside the handler's code. `error_type` is Lambda's name for it."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class Context:
    """The context object that Lambda passes to a handler with the event."""

    client_context = None
    identity = None

    def __init__(self, request_id: str, deadline_ms: int, arn: str) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = str(os.getpid())
        self._deadline_ms = deadline_ms

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


def import_handler(handler: str) -> Callable[[Any, Context], Any]:
    """Import `module.function` from the function's folder.

    Raises:
        LambdaError: the module or the function does not exist. Errors that the module raises pass through.
    """
    module_name, _, name = handler.rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise LambdaError("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        raise LambdaError("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}") from error
    if not hasattr(module, name):
        raise LambdaError("Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_name}'")
    found: Callable[[Any, Context], Any] = getattr(module, name)
    return found


def describe(error: BaseException, request_id: str = "") -> dict[str, Any]:
    """Return an error as Lambda reports it, without the frames of this file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    return {
        "errorMessage": str(error),
        "errorType": error.error_type if isinstance(error, LambdaError) else type(error).__name__,
        "requestId": request_id,
        "stackTrace": [] if isinstance(error, LambdaError) else traceback.format_list(frames),
    }


def clock(offset: float) -> Callable[[], float]:
    """Return a clock that is some seconds ahead. The clocks of Lambda's machines differ, and are set."""
    return (lambda: _true_time() + offset) if offset else _true_time


class _Api:
    """The worker's one connection to the Runtime API."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address)

    def next(self) -> tuple[http.client.HTTPMessage, bytes]:
        self._connection.request("GET", f"{_RUNTIME_API}/invocation/next")
        response = self._connection.getresponse()
        return response.headers, response.read()

    def post(self, path: str, body: str) -> None:
        self._connection.request("POST", f"{_RUNTIME_API}/{path}", body.encode())
        self._connection.getresponse().read()

    def fail(self, path: str, error: dict[str, Any]) -> None:
        print(f"[ERROR] {error['errorType']}: {error['errorMessage']}\n" + "".join(error["stackTrace"]), flush=True)
        self.post(path, json.dumps(error))


def serve(api: _Api, handler: Callable[[Any, Context], Any]) -> NoReturn:
    """Handle events one after the other."""
    while True:
        headers, event = api.next()
        request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        invocation = f"invocation/{request_id}"
        os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"]
        time.time = clock(float(headers["Local-Clock-Offset"]))
        context = Context(
            request_id, int(headers["Lambda-Runtime-Deadline-Ms"]), headers["Lambda-Runtime-Invoked-Function-Arn"]
        )
        try:
            result = handler(json.loads(event), context)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its answer
            api.fail(f"{invocation}/error", describe(error, request_id))
            continue
        try:
            answer = json.dumps(result)
        except (TypeError, ValueError) as error:
            unmarshalled = LambdaError("Runtime.MarshalError", f"Unable to marshal response: {error}")
            api.fail(f"{invocation}/error", describe(unmarshalled, request_id))
        else:
            api.post(f"{invocation}/response", answer)


def main() -> None:
    """Import the handler, then handle events until the Runtime API is gone."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    api = _Api(os.environ["AWS_LAMBDA_RUNTIME_API"])
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        try:
            os.chdir(os.environ["LAMBDA_TASK_ROOT"])
            with quick_imports():
                handler = import_handler(os.environ["_HANDLER"])
        except Exception as error:  # noqa: BLE001 - whatever a module raises ends the worker
            api.fail("init/error", describe(error))
            sys.exit(1)
        serve(api, handler)


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Import in half the time: without a package that is not needed, and without a search for garbage.

    A stack starts a process for each function that is called, and an import leaves little garbage.
    """
    sys.modules.setdefault(_NOT_IN_THE_LAYER, None)  # type: ignore[arg-type]
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _end_with_the_parent() -> None:
    """End this process, even in the middle of a handler, when the parent no longer holds our standard input."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
