"""Let the containers of `sam local` reach a running stack, where Docker runs on Linux: `python -m local.bridge`.

The stack listens on loopback, which in a container is the container's own. Docker Desktop and Finch pass
host.docker.internal on to the loopback of the host. On Linux it is the host's address on Docker's bridge, which
containers reach and other machines do not: this listens there, and passes every connection on.
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

# Where Docker's bridge is unless somebody has set it up otherwise.
ADDRESS = "172.17.0.1"


@asynccontextmanager
async def bridge(ports: Iterable[int], address: str = ADDRESS) -> AsyncIterator[None]:
    """Pass connections to these ports of `address` on to the same ports of 127.0.0.1, as long as the context lasts.

    Raises:
        OSError: the machine has no such address, or a port is taken there.
    """
    async with AsyncExitStack() as stack:
        listeners = {
            port: await stack.enter_async_context(await anyio.create_tcp_listener(local_host=address, local_port=port))
            for port in ports
        }
        group = await stack.enter_async_context(anyio.create_task_group())
        for port, listener in listeners.items():
            group.start_soon(listener.serve, partial(_pass_on, port))
        yield
        group.cancel_scope.cancel()


async def _pass_on(port: int, here: SocketStream) -> None:
    async with here:
        try:
            there = await anyio.connect_tcp("127.0.0.1", port)
        except OSError:  # nobody listens there yet
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
        print(f"Containers reach ports {ports} of this machine's loopback at host.docker.internal. Ctrl-C ends it.")
        await anyio.sleep_forever()


def main() -> None:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m local.bridge", description=__doc__)
    parser.add_argument("ports", nargs="*", type=int, default=[3002, 3003], help="default: those of `make run`")
    parser.add_argument("--address", default=ADDRESS, help=f"the host's address on the bridge (default: {ADDRESS})")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        anyio.run(_run, options.ports, options.address)


if __name__ == "__main__":
    main()
