"""Serve the baseline in a process that stays, on any free port: `python -m benchmarks.baseline`."""

import uvicorn

from benchmarks.baseline.app import app
from local.fake_codegen.server import HOST, listen

with listen() as listening:
    print(f"http://{HOST}:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error")).run([listening])
