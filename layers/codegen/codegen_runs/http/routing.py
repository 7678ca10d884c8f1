"""What API Gateway's routing says about a request: its organization, its path, and the base path in front of it.

API Gateway has found the route before a function gets the request. Nothing is decided by the path itself, because a
custom domain may put a base path in front of it: `/codegen/v1/users/me`, for the resource `/v1/users/me`. The edge
decides about the organization once, here, and everything after it gets the decision only.

Of the three paths of a request, `path` has the base path of a custom domain, but no stage; `requestContext.path` is the
path of the URL, with a stage or a base path; the path in the API has neither.
"""

import re
from urllib.parse import unquote

from codegen_runs import forms
from codegen_runs.http.proxy import Event, headers_of
from codegen_runs.problems import RouteNotFound, Unprocessable

_IN_RESOURCE = "{org_id}"
_ORGANIZATION = re.compile(r"[0-9]{1,18}")


def organization_of(event: Event) -> int | None:
    """Return the organization that the route's parameter names. None only on a route without the parameter.

    Raises:
        Unprocessable: The route has the parameter, but the request names no organization, or not as a number.
    """
    if _IN_RESOURCE not in event["resource"]:
        return None
    return read_organization((event.get("pathParameters") or {}).get("org_id") or "")


def read_organization(named: str) -> int:
    """Return an organization in a path as a number. Raises `Unprocessable` if it is none."""
    if not _ORGANIZATION.fullmatch(unquote(named)) or int(unquote(named)) > forms.LARGEST_ID:
        raise Unprocessable(
            errors=[
                {
                    "loc": ["path", "org_id"],
                    "msg": "Input should be a valid integer, unable to parse string as an integer",
                    "type": "int_parsing",
                }
            ]
        )
    return int(unquote(named))


def loggable_organization(event: Event) -> str | None:
    """Return the organization of `organization_of` as text; None also if it cannot be read."""
    try:
        org_id = organization_of(event)
    except Unprocessable:
        return None
    return None if org_id is None else str(org_id)


def path_of(event: Event) -> str:
    """Return the path in the API, percent-encoded as it was sent.

    Raises:
        RouteNotFound: The path does not end with the path of the route.
    """
    resource, path = event["resource"], event["path"]
    if resource == "/":
        return "/"
    if resource.endswith("+}"):
        return _path_of_rest(resource, path, event.get("pathParameters") or {})
    # Each parameter is one segment, so the route has as many segments as its resource. API Gateway ignores a slash at
    # the end of a path.
    segments = path.split("/")
    count = resource.count("/") + (path.endswith("/") and path != "/")
    if len(segments) <= count:
        raise RouteNotFound("No such route.")
    return "/".join(["", *segments[-count:]])


def _path_of_rest(resource: str, path: str, parameters: dict[str, str]) -> str:
    """Return the path of a route whose last parameter has any number of segments."""
    before, _, name = resource.removesuffix("+}").partition("{")
    rest = parameters.get(name, "")
    start = path.find(before)
    while start >= 0:
        sent = path[start + len(before) :].removesuffix("/")
        if rest.removesuffix("/") in (sent, unquote(sent)):
            return path[start:]
        start = path.find(before, start + 1)
    raise RouteNotFound("No such route.")


def path_in_url(event: Event) -> str:
    """Return the path of the URL that was requested."""
    url, path = str(event["requestContext"].get("path")), str(event["path"])
    # `sam local` writes the route there: `/v1/organizations/{org_id}`.
    return url if url.endswith(path) else path


def domain_of(event: Event) -> str:
    """Return the domain of the API at which a request was sent, with its port if it is not the usual one.

    API Gateway has matched it with the name in the TLS handshake, so no caller can choose it.
    """
    return str(event["requestContext"].get("domainName") or headers_of(event)["host"])


def base_path_of(event: Event) -> str:
    """Return what precedes the path in the API in the URL: a stage, such as `/v0`, a base path, or nothing."""
    try:
        return path_in_url(event).removesuffix(path_of(event))
    except RouteNotFound:
        return ""
