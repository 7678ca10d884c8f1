"""Run the whole system on this machine: `python -m local`, or `python -m local demo`.

With CODEGEN_API_TOKEN and CODEGEN_ORG_ID set, it uses the real Codegen API, at CODEGEN_BASE_URL if that is set; else a
fake one. `demo` uses the stack of a running `make run`, if there is one with the fake. CODEGEN_TIMEOUT (seconds, at
most 28) and CODEGEN_MAX_RETRIES have the same meaning as for the client.

With the real Codegen API, `python -m local` keeps its tables in a folder; with a fake one, it begins anew each time,
unless --data names a folder.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpx
from rich.console import Console

from local import demo, demo_agents
from local.data import default_folder
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen
from local.journal import DataError
from local.loopback import HOST, PortTakenError
from local.stack import Codegen, Ports, Stack
from local.template import TemplateError

_SERVICE = "codegen-runs"
_REAL_CODEGEN = "https://api.codegen.com"

# Environment variables that set parameters of the template.
_PARAMETERS = {"CODEGEN_TIMEOUT": "CodegenTimeout", "CODEGEN_MAX_RETRIES": "CodegenMaxRetries"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command of the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    # SIGTERM ends the stack as Ctrl-C does, leaving no process behind. SIGINT is set as well because some shells start
    # background programs with SIGINT ignored, so that a script could not end the stack with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _demo(options) if options.command == "demo" else _run(options)
    except PortTakenError as error:
        print(f"{error.strerror}. Choose another port: {_PORTS}", file=sys.stderr)
    except TemplateError as error:
        print(f"The local stack cannot run the template: {error}", file=sys.stderr)
    except (DataError, RuntimeError) as error:
        print(f"The local stack cannot run: {error}", file=sys.stderr)
    return 1


_STARTING = "Starting the API, the functions, the tables and the state machine on this machine ..."

_CONSOLE_TOKEN_LASTS = timedelta(hours=12)

_PORTS = (
    "PORT or --port (API), WEBSOCKET_PORT or --websocket-port, CODEGEN_PORT or --codegen-port, AWS_PORT or --aws-port; "
    "0 is any free port."
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add(
        "command",
        nargs="?",
        choices=["run", "demo"],
        default="run",
        help="run (default): serve until Ctrl-C; demo: show one multi-run",
    )
    for flag, variable, port, what in (
        ("--port", "PORT", 3000, "the API"),
        ("--websocket-port", "WEBSOCKET_PORT", 3001, "the WebSocket API"),
        ("--codegen-port", "CODEGEN_PORT", 3002, "the fake Codegen"),
        ("--aws-port", "AWS_PORT", 3003, "the AWS stand-in"),
    ):
        default = os.environ.get(variable, port)
        add(
            flag,
            type=int,
            default=default,
            help=f"run: the port of {what} (default: {variable}, else {port}; 0: any free port)",
        )
    add("--prompt", default=demo.PROMPT, help="demo: the prompt of every candidate")
    add("--candidates", type=int, default=3, help="demo: the number of candidates, 1 to 20 (default: 3)")
    add("--pace", type=float, help="duration of the fake's runs, as a multiple of 8 to 12 s (default: 1)")
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="the folder in which all state is kept (default: with a fake Codegen none, so that each run begins anew; "
        "with the real one, for run, codegen-runs/API/ORGANIZATION in XDG_STATE_HOME, or in ~/.local/state)",
    )
    add(
        "--base-path",
        type=_base_path,
        default="",
        metavar="PATH",
        help="the base path of the API, such as /codegen, as behind a custom domain of API Gateway (default: none)",
    )
    add("--verbose", action="store_true", help="print a line for each request")
    return parser


def _base_path(text: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]*[A-Za-z0-9_~-])*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a path such as /codegen, without a slash at its end")
    return text


def _run(options: argparse.Namespace) -> int:
    ports = Ports(
        api=options.port, websocket=options.websocket_port, codegen=options.codegen_port, aws=options.aws_port
    )
    codegen = _real_codegen()
    folder = options.data or (default_folder(codegen.base_url, codegen.org_id, os.environ) if codegen else None)
    print(_STARTING, flush=True)
    try:
        with _stack(options, codegen, ports, folder) as stack:
            _create_agents(stack)
            print(_first_screen(stack, folder, _console_address(stack)), flush=True)
            stack.wait()
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


def _demo(options: argparse.Namespace) -> int:
    console = Console()
    codegen = _real_codegen()
    try:
        with ExitStack() as running:
            url = None if codegen or options.pace is not None or options.data else _running_stack(options.port)
            if url:
                console.print(f"Using the stack of `make run` at {url}", markup=False)
                api, org_id = running.enter_context(_client(url, DEMO_TOKEN, timeout=35)), DEMO_ORG_ID
            else:
                with _starting(console):
                    stack = running.enter_context(_stack(options, codegen, Ports(), options.data))
                api, org_id = running.enter_context(_api(stack, timeout=35)), stack.codegen.org_id
            demo.run(api, org_id, console=console, prompt=options.prompt, candidates=options.candidates)
            console.print(f"\n{_afterwards(url)}", markup=False, soft_wrap=True)
    except demo.DemoError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _starting(console: Console) -> Iterator[None]:
    """Show at once that something happens: on a terminal a spinner, elsewhere a line."""
    if console.is_terminal:
        with console.status(_STARTING):
            yield
    else:
        console.print(_STARTING, markup=False)
        yield


def _running_stack(port: int) -> str | None:
    """Return the address of a `make run` on this machine that accepts the token of the fake Codegen, or None."""
    url = f"http://{HOST}:{port}"
    try:
        with _client(url, DEMO_TOKEN, timeout=5) as api:
            health, user = api.get("/health"), api.get("/v1/users/me")
            return url if health.json().get("service") == _SERVICE and user.is_success else None
    except (httpx.HTTPError, ValueError, AttributeError):
        return None


def _afterwards(url: str | None) -> str:
    if url is None:
        return "This stack ends now. To look at the multi-run afterwards, run `make demo` while `make run` runs."
    list_ = f"{url}/v1/organizations/{DEMO_ORG_ID}/multi-runs?limit=1"
    return f'It is kept while `make run` runs:\n\n  curl -s -H "Authorization: Bearer {DEMO_TOKEN}" "{list_}"'


def _stack(options: argparse.Namespace, codegen: Codegen | None, ports: Ports, data_folder: Path | None) -> Stack:
    fake = FakeCodegen(pace=1.0 if options.pace is None else options.pace)
    parameters = {"LiveStreaming": "true"} | {
        parameter: value for variable, parameter in _PARAMETERS.items() if (value := os.environ.get(variable))
    }
    return Stack(
        codegen=codegen,
        fake=fake,
        ports=ports,
        parameters=parameters,
        on_request=_print_request if options.verbose else None,
        data_folder=data_folder,
        base_path=options.base_path,
    )


def _print_request(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _api(stack: Stack, *, timeout: float) -> httpx.Client:
    return _client(stack.api_url, stack.codegen.token, timeout=timeout)


def _client(url: str, token: str, *, timeout: float) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)


def _create_agents(stack: Stack) -> None:
    """Create the demo agents, unless there are agents: one that was deleted does not come back at the next start.

    Nothing else depends on them, so a failure is only reported.
    """
    try:
        with _api(stack, timeout=10) as api:
            agents = api.get(f"/v1/organizations/{stack.codegen.org_id}/agents", params={"limit": 1})
            if not agents.raise_for_status().json()["items"]:
                demo_agents.create(api, stack.codegen.org_id)
    except httpx.HTTPError as error:
        print(f"The demo agents were not created: {error}", file=sys.stderr)


def _console_address(stack: Stack) -> str:
    """Return the address of the console. It signs in by itself, with the fake's token or a new API token.

    A real Codegen token must not appear on the screen. The API token is valid for a few hours and can be revoked.
    """
    console = f"{stack.api_url}/console"
    if stack.fake:
        return f"{console}#token={stack.codegen.token}"
    expires_at = (datetime.now(UTC) + _CONSOLE_TOKEN_LASTS).isoformat()
    token = {"name": "Console of make run", "role": "member", "expires_at": expires_at}
    try:
        with _api(stack, timeout=10) as api:
            created = api.post("/v1/users/me/api-tokens", json=token | {"organizations": [stack.codegen.org_id]})
            return f"{console}#token={created.raise_for_status().json()['token']}"
    except httpx.HTTPError as error:
        print(f"No API token was created for the console, so it asks for one: {error}", file=sys.stderr)
        return console


def _real_codegen() -> Codegen | None:
    """Return the Codegen API that the environment names, or None for the fake."""
    token, org_id = os.environ.get("CODEGEN_API_TOKEN"), os.environ.get("CODEGEN_ORG_ID")
    if not token:
        if org_id:
            # Set for the command line, for example.
            print("The fake Codegen is used, because CODEGEN_API_TOKEN is not set. CODEGEN_ORG_ID has no effect.")
        return None
    if not org_id:
        sys.exit("To use the real Codegen API, also set CODEGEN_ORG_ID. To use the fake, unset CODEGEN_API_TOKEN.")
    if not org_id.isdecimal():
        sys.exit(f"CODEGEN_ORG_ID must be a number, not {org_id!r}.")
    base_url = os.environ.get("CODEGEN_BASE_URL") or _REAL_CODEGEN
    if not _names_a_host(base_url):
        sys.exit("CODEGEN_BASE_URL must start with http:// or https:// and name a host.")
    return Codegen(base_url, int(org_id), token)


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _first_screen(stack: Stack, data_folder: Path | None, console: str) -> str:
    organization = f"{stack.api_url}/v1/organizations/{stack.codegen.org_id}"
    # A real token must not appear on the screen; the variable works as well when pasted.
    token = stack.codegen.token if stack.fake else "$CODEGEN_API_TOKEN"
    multi_run = shlex.quote('{"prompt": "Explain this repository", "concurrency": 3}')
    proxies = getproxies_environment()
    is_proxied = proxies.keys() & {"http", "all"} and not proxy_bypass(HOST)
    curl = f"curl --noproxy {HOST}" if is_proxied else "curl"
    return f"""
Codegen Runs is running on this machine.

  console          {console}

  API              {stack.api_url}
  documentation    {stack.api_url}/docs
  WebSocket        {stack.websocket_url}
  {"fake Codegen   " if stack.fake else "Codegen        "}  {stack.codegen.base_url}
  AWS stand-in     {stack.aws_url}
  functions' logs  {stack.log_dir}
  data             {data_folder or "in memory until the stop; --data DIR keeps it"}
  token            {token}

Try:

  {curl} {stack.api_url}/health
  {curl} -H "Authorization: Bearer {token}" {organization}/agent/runs
  {curl} -H "Authorization: Bearer {token}" -H "Content-Type: application/json" -d {multi_run} {organization}/multi-runs

Press Ctrl-C to stop."""


if __name__ == "__main__":
    sys.exit(main())
