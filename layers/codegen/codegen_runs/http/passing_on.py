"""Requests that no other function serves: those for the Codegen API are passed on to it, as the caller.

So an operation that the Codegen API gains tomorrow works today. The edge's rules hold for it, too: the caller must be
in the organizations that the request names, with the role that its method needs; its calls count against the limits of
the caller's token; errors are problems. Only the method, the path, the query, the body and its media type are passed
on, and the address of the Codegen API is that of the settings.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_api import CodegenAPIError, Response, as_path
from codegen_runs.backend import Backend
from codegen_runs.http import admission, etags, routing
from codegen_runs.http.answers import MAX_ANSWER
from codegen_runs.http.edge import seconds_left_in
from codegen_runs.http.proxy import Answer, Event, content_of, headers_of
from codegen_runs.limits.permits import permit
from codegen_runs.problems import BadGateway, RouteNotFound, TooLarge, UnsupportedMediaType
from codegen_runs.roles import needed_for
from codegen_runs.upstream.errors import refusal_of

_RESOURCE = "/v1/{proxy+}"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
_NAMES_OF_ORGANIZATIONS = ("org_id", "organization_id")


def pass_on(event: Event, context: LambdaContext, backend: Backend) -> Answer:
    """Send a request to the Codegen API with the caller's own token, and return the answer.

    Raises:
        RouteNotFound: The path is not under /v1, or is written in a way that servers read differently.
        Unauthorized: The authorizer has not accepted the request, or the token has expired or was revoked.
        CodegenTokenRequired: The caller has no Codegen token.
        Unprocessable: The path names an organization that is not a number.
        NotAMember: The caller is not in an organization that the request names.
        RoleRequired: The caller's role there is too low for the method.
        TooLarge: The request body is over the limit.
        UnsupportedMediaType: The request body is compressed.
        NoPermit: The limit of the Codegen API is used up.
        BadGateway: The answer is not text.
        AnswerTooLarge: The answer is over the limit.
        Problem: The Codegen API failed or refused the request.
    """
    path, method, headers = _path(event), event["httpMethod"], headers_of(event)
    with admission.requiring(needed_for(method)):
        caller = admission.identify(event, routing.organization_of(event))
        admission.require_codegen_token(caller)
        content, query = _content(event), event.get("multiValueQueryStringParameters") or {}
        organizations = {*_organizations_in(path), *_organizations_in_fields(query), *_organizations_in_body(content)}
        for org_id in organizations:
            admission.organization(caller, org_id)
        if not organizations:
            admission.everywhere(caller)
    codegen = backend.acting_as(caller, deadline=seconds_left_in(context)).codegen
    try:
        with permit("standard", caller, min(organizations, default=0), backend):
            response = codegen.request(
                "GET" if method == "HEAD" else method,
                path,
                params=query,
                content=content,
                content_type=headers.get("content-type") if content else None,
                max_bytes=MAX_ANSWER,
            )
    except CodegenAPIError as error:
        raise refusal_of(error) from error
    answer = _answer(response)
    if method in ("GET", "HEAD"):
        answer = etags.compared(answer, headers.get("if-none-match"))
    return answer


def _path(event: Event) -> str:
    if event["httpMethod"] not in _METHODS:
        raise RouteNotFound("No such route.")
    if event["resource"] != _RESOURCE:
        raise RouteNotFound("No such route.")
    try:
        return as_path(routing.path_of(event))
    except ValueError:
        raise RouteNotFound(
            "No such route: the path has an empty segment, one that begins with a dot, or an unusual encoding.",
            remedy="Send the path without a slash at its end, and percent-encode only what must be encoded.",
        ) from None


def _content(event: Event) -> bytes | None:
    content = content_of(event)
    if not content:
        return None
    if headers_of(event).get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The request body is compressed.", remedy="Send it without Content-Encoding.")
    if len(content) > admission.MAX_BODY:
        raise TooLarge(f"The request body has {len(content)} bytes; the limit is {admission.MAX_BODY}.")
    return content


def _organizations_in(path: str) -> Iterator[int]:
    """Yield the organizations that a path names. Its route has no parameter for them, because Codegen has the path.

    Raises:
        Unprocessable: The path names one that is not a number.
    """
    return (routing.read_organization(named) for named in re.findall(r"/organizations/([^/]+)", path))


def _organizations_in_body(content: bytes | None) -> Iterator[int]:
    try:
        body = json.loads(content or b"null")
    except (ValueError, RecursionError):
        return iter(())
    return _organizations_in_fields(body) if isinstance(body, dict) else iter(())


def _organizations_in_fields(fields: dict[str, Any]) -> Iterator[int]:
    """Yield the organizations that fields name, in each form that the Codegen API's framework reads as an integer."""
    for name in _NAMES_OF_ORGANIZATIONS:
        value = fields.get(name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int | float | str) and re.fullmatch(r"\s*[+]?0*[0-9]{1,18}(\.0*)?\s*", str(each)):
                yield int(str(each).partition(".")[0])


def _answer(response: Response) -> Answer:
    try:
        body = response.content.decode()
    except UnicodeDecodeError:
        raise BadGateway("The Codegen API returned an answer that is not text.", retryable=False) from None
    kind = response.headers.get("content-type")
    return {
        "statusCode": response.status,
        "multiValueHeaders": {"Content-Type": [kind]} if kind and body else {},
        "body": body,
        "isBase64Encoded": False,
    }
