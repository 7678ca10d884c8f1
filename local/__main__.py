"""Run the whole system on this machine: `python -m local`, and `python -m local demo`.

With CODEGEN_API_TOKEN and CODEGEN_ORG_ID set it works with the real Codegen API (CODEGEN_BASE_URL for another address),
else with a fake one. CODEGEN_TIMEOUT (seconds, 28 at most) and CODEGEN_MAX_RETRIES are as for the client.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import signal
import sys
import threading

import httpx
from rich.console import Console

from local import demo, demo_agents
from local.fake_codegen import FakeCodegen
from local.stack import Codegen, Ports, PortTakenError, Stack
from local.template import TemplateError

_REAL_CODEGEN = "https://api.codegen.com"

# Variables that stand for parameters of the template.
_PARAMETERS = {"CODEGEN_TIMEOUT": "CodegenTimeout", "CODEGEN_MAX_RETRIES": "CodegenMaxRetries"}


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line says and return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    # SIGTERM ends this as Ctrl-C does: in order, leaving no process behind. Some shells have what they start in the
    # background ignore SIGINT, which a script that ends it so would not expect.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _demo(options) if options.command == "demo" else _run(options)
    except PortTakenError as error:
        print(f"Something else listens on port {error.port} of 127.0.0.1. Choose another: {_PORTS}", file=sys.stderr)
    except TemplateError as error:
        print(f"The template cannot be run here: {error}", file=sys.stderr)
    return 1


_PORTS = (
    "PORT or --port (API), WEBSOCKET_PORT or --websocket-port, CODEGEN_PORT or --codegen-port, AWS_PORT or --aws-port; "
    "0 is any free one."
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("command", nargs="?", choices=["run", "demo"], default="run", help="serve until Ctrl-C, or show one multi-run")
    for flag, variable, port, what in (
        ("--port", "PORT", 3000, "the API"),
        ("--websocket-port", "WEBSOCKET_PORT", 3001, "the WebSocket API"),
        ("--codegen-port", "CODEGEN_PORT", 3002, "the fake Codegen"),
        ("--aws-port", "AWS_PORT", 3003, "the AWS stand-in"),
    ):
        default = os.environ.get(variable, port)
        add(flag, type=int, default=default, help=f"run: port of {what} (default: {variable}, or {port})")
    add("--prompt", default=demo.PROMPT, help="demo: what every candidate is asked")
    add("--candidates", type=int, default=3, help="demo: how many there are, 1 to 20 (default: 3)")
    add("--pace", type=float, default=1.0, help="how long runs of the fake take, times 8 to 12 s (default: 1)")
    add("--verbose", action="store_true", help="show requests and the functions' logs")
    return parser


def _run(options: argparse.Namespace) -> int:
    ports = Ports(
        api=options.port, websocket=options.websocket_port, codegen=options.codegen_port, aws=options.aws_port
    )
    try:
        with _stack(options, ports) as stack:
            _create_agents(stack)
            print(_first_screen(stack), flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        print("\nStopped.")
    return 0


def _demo(options: argparse.Namespace) -> int:
    console = Console()
    try:
        with _stack(options, Ports()) as stack, _api(stack, timeout=35) as api:
            demo.run(api, stack.codegen.org_id, console=console, prompt=options.prompt, candidates=options.candidates)
    except demo.DemoError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _stack(options: argparse.Namespace, ports: Ports) -> Stack:
    fake = FakeCodegen(pace=options.pace)
    parameters = {"LiveStreaming": "true"} | {
        parameter: value for variable, parameter in _PARAMETERS.items() if (value := os.environ.get(variable))
    }
    return Stack(codegen=_real_codegen(), fake=fake, ports=ports, parameters=parameters, verbose=options.verbose)


def _api(stack: Stack, *, timeout: float) -> httpx.Client:
    headers = {"Authorization": f"Bearer {stack.codegen.token}"}
    return httpx.Client(base_url=stack.api_url, headers=headers, timeout=timeout, trust_env=False)


def _create_agents(stack: Stack) -> None:
    """Create the demo's agents, without which everything else works all the same."""
    try:
        with _api(stack, timeout=10) as api:
            demo_agents.create(api, stack.codegen.org_id)
    except httpx.HTTPError as error:
        print(f"There are no demo agents: {error}", file=sys.stderr)


def _real_codegen() -> Codegen | None:
    """Return the Codegen API that the environment names, or None for a fake."""
    token, org_id = os.environ.get("CODEGEN_API_TOKEN"), os.environ.get("CODEGEN_ORG_ID")
    if not token and not org_id:
        return None
    if not token or not org_id:
        sys.exit("Set both CODEGEN_API_TOKEN and CODEGEN_ORG_ID to work with the real Codegen API, or neither.")
    if not org_id.isdecimal():
        sys.exit(f"CODEGEN_ORG_ID is a number, not {org_id!r}.")
    return Codegen(os.environ.get("CODEGEN_BASE_URL") or _REAL_CODEGEN, int(org_id), token)


def _first_screen(stack: Stack) -> str:
    organization = f"{stack.api_url}/v1/organizations/{stack.codegen.org_id}"
    # A real token is not for the screen; the shell has it.
    token = stack.codegen.token if stack.fake else "$CODEGEN_API_TOKEN"
    multi_run = shlex.quote('{"prompt": "Explain this repository", "concurrency": 3}')
    return f"""
Codegen Runs, on this machine.

  API              {stack.api_url}
  WebSocket        {stack.websocket_url}
  {"fake Codegen   " if stack.fake else "Codegen        "}  {stack.codegen.base_url}
  AWS stand-in     {stack.aws_url}
  functions' logs  {stack.log_dir or "here"}
  token            {token}

Try:

  curl {stack.api_url}/health
  curl -H "Authorization: Bearer {token}" {organization}/agent/runs
  curl -H "Authorization: Bearer {token}" -H "Content-Type: application/json" -d {multi_run} {organization}/multi-runs

Ctrl-C ends it."""


if __name__ == "__main__":
    sys.exit(main())
