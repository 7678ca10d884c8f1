"""Let the containers of `sam local` reach a running stack where Docker runs on Linux: `python -m local.bridge`.

The stack listens on loopback, and a container has a loopback of its own. Docker Desktop and Finch forward
host.docker.internal to the host's loopback. On Linux that name means the host's address on Docker's bridge, which
containers reach and other machines do not. This program listens at that address and forwards every connection.
"""

from __future__ import annotations

import argparse
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from anyio.abc import SocketStream

# The host's address on Docker's bridge by default.
ADDRESS = "172.17.0.1"


@asynccontextmanager
async def bridge(ports: Iterable[int], address: str = ADDRESS) -> AsyncIterator[None]:
    """Forward connections from ports of `address` to the same ports of 127.0.0.1 while the context lasts.

    Raises:
        OSError: the machine does not have the address, or a port is in use there.
    """
    async with AsyncExitStack() as stack:
        listeners = {
            port: await stack.enter_async_context(await anyio.create_tcp_listener(local_host=address, local_port=port))
            for port in ports
        }
        group = await stack.enter_async_context(anyio.create_task_group())
        for port, listener in listeners.items():
            group.start_soon(listener.serve, partial(_forward, port))
        yield
        group.cancel_scope.cancel()


async def _forward(port: int, here: SocketStream) -> None:
    async with here:
        try:
            there = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:  # no program listens there yet
            return
        async with there, anyio.create_task_group() as both_ways:
            both_ways.start_soon(_copy, here, there)
            both_ways.start_soon(_copy, there, here)


async def _copy(source: SocketStream, sink: SocketStream) -> None:
    with suppress(anyio.BrokenResourceError):
        async for data in source:
            await sink.send(data)
        await sink.send_eof()


async def _run(ports: list[int], address: str) -> None:
    async with bridge(ports, address):
        shown = ", ".join(map(str, ports))
        print(f"Containers reach ports {shown} of 127.0.0.1 at host.docker.internal. Press Ctrl-C to stop.", flush=True)
        await anyio.sleep_forever()


def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m local.bridge", description=__doc__)
    ports_help = "ports to forward (default: 3002 3003, the fake Codegen and the AWS stand-in of `make run`)"
    parser.add_argument("ports", nargs="*", type=int, default=[3002, 3003], help=ports_help)
    parser.add_argument("--address", default=ADDRESS, help=f"address to listen at (default: {ADDRESS})")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        anyio.run(_run, options.ports, options.address)


if __name__ == "__main__":
    main()
