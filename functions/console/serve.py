"""GET /, GET /console, GET /console/{version}/{file} - show the way to the console, and serve its files."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Path as PathParameter

from codegen_runs import __version__, forms
from codegen_runs.http import files
from codegen_runs.http.edge import endpoint
from codegen_runs.links import link
from codegen_runs.problems import NotFound

app = APIGatewayRestResolver()

Version = Annotated[str, PathParameter(json_schema_extra={"pattern": forms.CONSOLE_VERSION})]
File = Annotated[str, PathParameter(json_schema_extra={"pattern": forms.CONSOLE_FILE})]

STATIC = Path(__file__).parent / "static"

# No inline script or style, nothing from elsewhere, and no text that a browser would parse as HTML.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


class StaleVersion(NotFound):
    """The file belongs to another version of the console."""

    code = "console_updated"
    remedy = "Reload the page."


@app.get(
    "/",
    tags=["Service"],
    summary="Find the console and the documentation",
    responses={
        200: {"description": "The links.", "content": {"application/json": {}}},
        303: {"description": "A browser is sent to the console."},
    },
)
def get_start() -> Response[dict[str, str]]:
    """Find your way: a browser is sent to the console, and any other client gets links."""
    if "text/html" in app.current_event.headers.get("accept", ""):
        return Response(303, None, None, {"Location": link("/console"), "Vary": "Accept"})
    links = {
        "service": "codegen-runs",
        "version": __version__,
        "console": link("/console"),
        "documentation": link("/docs"),
        "openapi": link("/openapi.json"),
        "health": link("/health"),
        "organizations": link("/v1/organizations"),
    }
    return Response(200, "application/json", links, {"Vary": "Accept"})


@app.get(
    "/console",
    tags=["Service"],
    summary="Open the console",
    responses={200: {"description": "A page.", "content": {"text/html": {}}}},
)
def get_console() -> Response[str]:
    """Open the console: the page that shows agents at work. It sends requests with the token that you give it."""
    # Addresses are relative, so that they are right at every stage and base path.
    folder = "" if app.current_event.path.endswith("/") else "console/"
    page = files.text(STATIC / "index.html").replace("{files}", f"{folder}{_version()}")
    return files.text_answer(
        page,
        ".html",
        files.REVALIDATED,
        Content_Security_Policy=POLICY,
        Cross_Origin_Opener_Policy="same-origin",
        Permissions_Policy=PERMISSIONS,
        Referrer_Policy="no-referrer",
    )


@app.get(
    "/console/<version>/<file>",
    tags=["Service"],
    summary="Read a file of the console",
    responses={200: {"description": "The file.", "content": {"text/javascript": {}}}},
)
def get_file(version: Version, file: File) -> Response[str]:
    """Read a file of the console: a script, the styles or the icon.

    The page names a version, so a client may keep the file for ever. `latest` is the current version.
    """
    if file not in _names():
        raise NotFound("The console has no such file.")
    if version not in (_version(), "latest"):
        raise StaleVersion("The console has been updated.")
    return files.answer(STATIC / file, files.REVALIDATED if version == "latest" else files.IMMUTABLE)


@cache
def _names() -> frozenset[str]:
    return frozenset(file.name for file in STATIC.iterdir() if file.name != "index.html")


@cache
def _version() -> str:
    """Return a hash of all files: the version of the console."""
    digest = hashlib.sha256()
    for name in sorted(_names()):
        digest.update(name.encode() + b"\0" + files.text(STATIC / name).encode() + b"\0")
    return digest.hexdigest()[:12]


handler = endpoint(app, verbatim=True, public=True)
