"""GET /openapi.json, GET /docs, GET /redoc - serve the OpenAPI document, and show it in Swagger UI."""

from functools import cache
from importlib import resources
from pathlib import Path

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.http.edge import endpoint
from codegen_runs.http.etags import tag_of
from codegen_runs.problems import NotFound

app = APIGatewayRestResolver()

HERE = Path(__file__).parent
SWAGGER = resources.files("aws_lambda_powertools.event_handler.openapi") / "swagger_ui"

# The files that /docs?asset= serves to both pages. Swagger UI itself is a part of Powertools.
ASSETS = {
    "swagger-ui-bundle.min.js": (SWAGGER / "swagger-ui-bundle.min.js", "text/javascript; charset=utf-8"),
    "swagger-ui.min.css": (SWAGGER / "swagger-ui.min.css", "text/css; charset=utf-8"),
    "swagger.js": (HERE / "swagger.js", "text/javascript; charset=utf-8"),
    "reader.js": (HERE / "reader.js", "text/javascript; charset=utf-8"),
}

# The pages work without a connection to the Internet: everything comes from this deployment.
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; "
    "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


@app.get(
    "/openapi.json",
    tags=["Service"],
    summary="Read the OpenAPI document",
    responses={200: {"description": "The document.", "content": {"application/json": {}}}},
)
def get_document() -> Response[str]:
    """Read this document."""
    response = _file(HERE / "openapi.json", "application/json", "no-cache")
    response.headers["ETag"] = _tag()
    return response


@app.get(
    "/docs",
    tags=["Service"],
    summary="Try the API in Swagger UI",
    responses={200: {"description": "A page.", "content": {"text/html": {}}}},
)
def get_swagger_ui() -> Response[str]:
    """Show the document in Swagger UI, which can send requests."""
    name = app.current_event.query_string_parameters.get("asset")
    if name is None:
        return _page("swagger.html")
    if name not in ASSETS:
        raise NotFound("No such asset.")
    asset, content_type = ASSETS[name]
    return _file(asset, content_type, "public, max-age=86400")


@app.get(
    "/redoc",
    tags=["Service"],
    summary="Read the API's reference",
    responses={200: {"description": "A page.", "content": {"text/html": {}}}},
)
def get_reference() -> Response[str]:
    """Show the document in Swagger UI, which here sends no requests and takes no token."""
    return _page("reader.html")


def _page(name: str) -> Response[str]:
    response = _file(HERE / name, "text/html; charset=utf-8", "no-cache")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _file(file: "resources.abc.Traversable", content_type: str, cache_control: str) -> Response[str]:
    headers: dict[str, str | list[str]] = {"Cache-Control": cache_control, "X-Content-Type-Options": "nosniff"}
    return Response(200, content_type, _text(file), headers)  # type: ignore[arg-type] # files of both kinds are hashable


@cache
def _text(file: "resources.abc.Traversable") -> str:
    return file.read_text("utf-8")


@cache
def _tag() -> str:
    return tag_of((HERE / "openapi.json").read_text("utf-8"))


handler = endpoint(app, verbatim=True, public=True)
