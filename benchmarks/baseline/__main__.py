"""Serve the baseline in a process that stays, on any free port: `python -m benchmarks.baseline`."""

import uvicorn

from benchmarks.baseline.app import app
from local import loopback

with loopback.listen() as listening:
    print(loopback.url(listening), flush=True)
    uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error")).run([listening])
