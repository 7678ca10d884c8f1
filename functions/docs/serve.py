"""GET /openapi.json, GET /docs, GET /redoc - serve the OpenAPI document, and show it in Swagger UI."""

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.http import files
from codegen_runs.http.edge import endpoint
from codegen_runs.problems import NotFound

app = APIGatewayRestResolver()

HERE = Path(__file__).parent
SWAGGER = resources.files("aws_lambda_powertools.event_handler.openapi") / "swagger_ui"

# The files that /docs?asset= serves to both pages. Swagger UI itself is a part of Powertools.
ASSETS: dict[str, Traversable] = {
    "swagger-ui-bundle.min.js": SWAGGER / "swagger-ui-bundle.min.js",
    "swagger-ui.min.css": SWAGGER / "swagger-ui.min.css",
    "swagger.js": HERE / "swagger.js",
    "reader.js": HERE / "reader.js",
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
    return files.answer(HERE / "openapi.json", files.REVALIDATED)


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
    return _asset(ASSETS[query["asset"]], query.get("version"))


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
    page = Template(files.text(HERE / "page.html")).substitute(addresses, title=title)
    return files.text_answer(page, ".html", files.REVALIDATED, Content_Security_Policy=POLICY)


def _address(name: str) -> str:
    """Return the address of an asset. It changes with the content, so browsers may keep what they have."""
    return f"docs?asset={name}&amp;version={files.version(ASSETS[name])}"


def _asset(file: Traversable, version: str | None) -> Response[str]:
    # During a deployment, the page of one version may request an asset from the other.
    return files.answer(file, files.IMMUTABLE if version == files.version(file) else files.REVALIDATED)


handler = endpoint(app, verbatim=True, public=True)
