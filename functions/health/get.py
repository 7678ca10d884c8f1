"""GET /health - tell that the service is up."""

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
    """How the service is."""

    service: Literal["codegen-runs"] = Field(
        "codegen-runs", description="Tells a client that it talks to a deployment, and not to Codegen itself."
    )
    status: str
    timestamp: datetime
    version: str
    uptime_seconds: float = Field(description="Of the execution environment that answers.")


@app.get("/health", tags=["Service"], summary="Tell that the service is up")
@app.get("/api/health", include_in_schema=False)
def get_health() -> Response[Health]:
    """Tell that the service is up. It asks nobody else: the Codegen API may be down."""
    health = Health(
        status="healthy",
        timestamp=datetime.now(UTC),
        version=__version__,
        uptime_seconds=round(time.monotonic() - started, 3),
    )
    return Response(200, "application/json", health, {"Cache-Control": "no-store"})


handler = endpoint(app, public=True)
