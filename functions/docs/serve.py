"""GET /openapi.json, GET /docs, GET /redoc - serve the OpenAPI document, and show it in Swagger UI."""

from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

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
    response = _response(_text(HERE / "openapi.json"), "application/json", "no-cache")
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
    query = app.current_event.query_string_parameters
    if "asset" not in query:
        return _page("API", "swagger.js")
    if query["asset"] not in ASSETS:
        raise NotFound("No such asset.")
    return _asset(query["asset"], query.get("version"))


@app.get(
    "/redoc",
    tags=["Service"],
    summary="Read the API's reference",
    responses={200: {"description": "A page.", "content": {"text/html": {}}}},
)
def get_reference() -> Response[str]:
    """Show the document in Swagger UI, which here sends no requests and takes no token."""
    return _page("API reference", "reader.js")


def _page(title: str, script: str) -> Response[str]:
    addresses = {
        "styles": _address("swagger-ui.min.css"),
        "swagger_ui": _address("swagger-ui-bundle.min.js"),
        "script": _address(script),
    }
    page = Template(_text(HERE / "page.html")).substitute(addresses, title=title)
    response = _response(page, "text/html; charset=utf-8", "no-cache")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _address(name: str) -> str:
    """Return the address of an asset. It changes with the content, so browsers may keep what they have."""
    return f"docs?asset={name}&amp;version={_version(name)}"


def _asset(name: str, version: str | None) -> Response[str]:
    # During a deployment, the page of one version may request an asset from the other.
    is_current = version == _version(name)
    caching = "public, max-age=31536000, immutable" if is_current else "no-cache"
    return _response(_content(name), ASSETS[name][1], caching)


def _response(text: str, content_type: str, cache_control: str) -> Response[str]:
    headers: dict[str, str | list[str]] = {"Cache-Control": cache_control, "X-Content-Type-Options": "nosniff"}
    return Response(200, content_type, text, headers)


@cache
def _content(name: str) -> str:
    return ASSETS[name][0].read_text("utf-8")


@cache
def _version(name: str) -> str:
    return tag_of(_content(name)).strip('"')


@cache
def _text(file: Path) -> str:
    return file.read_text("utf-8")


@cache
def _tag() -> str:
    return tag_of(_text(HERE / "openapi.json"))


handler = endpoint(app, verbatim=True, public=True)
