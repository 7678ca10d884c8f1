"""Serve the baseline on any free port until the process is killed: `python -m benchmarks.baseline`."""

import uvicorn

from benchmarks.baseline.app import app
from local import loopback

with loopback.listen() as listening:
    print(loopback.url(listening), flush=True)
    uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error")).run([listening])
