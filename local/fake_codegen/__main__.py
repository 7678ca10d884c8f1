"""Serve a fake Codegen on loopback in real time: `python -m local.fake_codegen --port 3002`."""

from __future__ import annotations

import argparse

from local import loopback

from .limits import LIMITS
from .sample_data import DEMO_ORG_ID, DEMO_TOKEN
from .server import server
from .state import FakeCodegen
from .webhooks import calling


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m local.fake_codegen", description=__doc__)
    parser.add_argument("--port", type=int, default=3002, help="port on 127.0.0.1 (default: 3002; 0: any free port)")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="duration of runs, as a multiple of 8 to 12 s (default: 1)"
    )
    parser.add_argument("--no-limits", action="store_true", help="turn the rate limits off")
    options = parser.parse_args()
    fake = FakeCodegen(pace=options.pace, limits={} if options.no_limits else LIMITS)
    with loopback.listen(options.port) as listening:
        base_url = loopback.url(listening)
        print(f"The fake Codegen serves organization {DEMO_ORG_ID} at {base_url}. Try:")
        print(f"  curl -H 'Authorization: Bearer {DEMO_TOKEN}' {base_url}/v1/users/me")
        print(f"  curl {base_url}/_fake", flush=True)
        with calling(fake):
            server(fake, timeout_graceful_shutdown=1).run([listening])


if __name__ == "__main__":
    main()
