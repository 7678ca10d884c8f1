"""GET /health - check that the service is up."""

import time
from datetime import UTC, datetime
from typing import Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from pydantic import BaseModel, Field

from codegen_runs import __version__
from codegen_runs.http.edge import endpoint

app = APIGatewayRestResolver(enable_validation=True)
started = time.monotonic()


class Health(BaseModel):
    """The state of the service."""

    service: Literal["codegen-runs"] = Field(
        "codegen-runs", description="Lets a client distinguish a deployment from Codegen itself."
    )
    status: str
    timestamp: datetime
    version: str
    uptime_seconds: float = Field(description="How long the execution environment that answers has been running.")


@app.get("/health", tags=["Service"], summary="Check that the service is up")
@app.get("/api/health", include_in_schema=False)
def get_health() -> Response[Health]:
    """Check that this service is up. The Codegen API is not checked."""
    health = Health(
        status="healthy",
        timestamp=datetime.now(UTC),
        version=__version__,
        uptime_seconds=round(time.monotonic() - started, 3),
    )
    return Response(200, "application/json", health, {"Cache-Control": "no-store"})


handler = endpoint(app, verbatim=True, public=True)
