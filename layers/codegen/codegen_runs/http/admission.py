"""Admission: who sends a request, whether the caller may act in the organization, and whether the body can be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from pydantic_core import from_json

from codegen_runs import settings
from codegen_runs.callers import Caller, token_in
from codegen_runs.http.proxy import Event, authorized, content_of, decoded, headers_of
from codegen_runs.problems import (
    CodegenTokenRequired,
    CredentialsRefused,
    IdentityUnconfirmed,
    NoDefaultOrganization,
    NoDeploymentToken,
    NotAMember,
    RoleRequired,
    TicketForAnother,
    TooLarge,
    TooManyRefusedTokens,
    Unauthorized,
    Unprocessable,
    UnsupportedMediaType,
)
from codegen_runs.roles import READING, Role

RETRY_SECONDS = 5
"""Seconds after which a caller who cannot be confirmed may retry."""

MAX_BODY = 5 * 1024 * 1024
"""Bytes of a request's body. A Lambda event may have 6 MB."""


@dataclass(frozen=True)
class Place:
    """Where the requests of an operation name their organization, if their path names none.

    Attributes:
        kind: `default` for the deployment's organization, `none` for an operation that is about no organization.
        name: The name of the field or of the query parameter.
        required: Whether a request must name one. Otherwise the deployment's is the default.
    """

    kind: Literal["default", "none", "body", "query"]
    name: str = ""
    required: bool = False


DEFAULT_ORGANIZATION = Place("default")
"""The deployment's organization."""

NO_ORGANIZATION = Place("none")
"""For operations that are about no organization."""


def in_body(name: str, *, required: bool = False) -> Place:
    """Return the place of an organization that a field of the body names."""
    return Place("body", name, required)


def in_query(name: str) -> Place:
    """Return the place of an organization that a query parameter names, which requests must have."""
    return Place("query", name, required=True)


# The authorizer admits these refusals, and they are answered here: no answer of the gateway's own has their status and
# the reason. A request that is refused in this way has no caller.
_REFUSALS = {
    problem.code: problem for problem in (CredentialsRefused, NoDeploymentToken, TicketForAnother, TooManyRefusedTokens)
}

# The role that the current operation requires. An operation that requires none, such as a stream, only reads.
_required: ContextVar[Role] = ContextVar("required", default=Role.VIEWER)
# Whether Codegen decides about callers who send their own Codegen token and have no role in this deployment.
_codegen_decides: ContextVar[bool] = ContextVar("codegen_decides", default=False)


@contextmanager
def requiring(role: Role, *, codegen_decides: bool = False) -> Iterator[None]:
    """Require a role of callers while the block runs.

    Args:
        role: The role.
        codegen_decides: Whether a caller with a Codegen token, whose role this deployment has not recorded, may go on:
            the operation is Codegen's own, and Codegen checks the rights of the token's user.
    """
    before, decided_before = _required.set(role), _codegen_decides.set(codegen_decides)
    try:
        yield
    finally:
        _required.reset(before)
        _codegen_decides.reset(decided_before)


def identify(event: Event, org_id: int | None, *, own_data: bool = False) -> Caller:
    """Return the caller, who must have the required role in the organization that the request is about.

    While the Codegen API cannot confirm the caller's identity and rights, the caller may only read.

    Args:
        event: The request.
        org_id: The organization, as `routing.organization_of` decided; None on a route without one.
        own_data: Whether the operation changes only the caller's own data in this deployment, which is allowed then.

    Raises:
        Unauthorized: The authorizer has not accepted the request, or the token has expired or was revoked.
        CredentialsRefused: The deployment has no valid Codegen token to act with for the caller.
        IdentityUnconfirmed: The caller is unconfirmed, and the request neither reads nor changes own data.
        NotAMember: The caller is not in the organization.
        RoleRequired: The caller's role in the organization is too low.
    """
    caller = _authenticate(event)
    if caller.unconfirmed_since is not None and event["httpMethod"] not in READING and not own_data:
        raise IdentityUnconfirmed(
            "The Codegen API does not respond, so your rights cannot be confirmed. They were last confirmed at "
            f"{caller.unconfirmed_since}.",
            retry_after=RETRY_SECONDS,
        )
    if org_id is not None:
        _check_role(caller, org_id)
    return caller


def admitted_organization(event: Event, caller: Caller, place: Place, in_route: int | None) -> int | None:
    """Return the organization that a request is about, in which the caller has the required role.

    This is decided before an operation gets its request, and before its Idempotency-Key is looked up: a caller who may
    not send a request must not get the answer to an earlier one.

    Args:
        event: The request.
        caller: The caller.
        place: Where the request names its organization if its route does not.
        in_route: The organization of its route, which `identify` has checked.

    Returns:
        The organization. None if the operation is about none, or if the request does not name it as it must; the
        operation refuses such a request.

    Raises:
        NoDefaultOrganization: Neither the request nor the deployment names one.
        NotAMember: The caller is not in the organization.
        RoleRequired: The caller's role in the organization is too low.
    """
    if in_route is not None or place.kind == "none":
        return in_route
    if place.kind == "default":
        return organization(caller)
    try:
        named = _number(_value(event, place))
    except ValueError:
        return None
    return None if named is None and place.required else organization(caller, named)


def organization(caller: Caller, named: int | None = None) -> int:
    """Return the organization that a request without one in its path is about.

    Args:
        caller: The caller.
        named: The organization that the body names; None for the deployment's.

    Raises:
        NoDefaultOrganization: Neither the request nor the deployment names one.
        NotAMember: The caller is not in the organization.
        RoleRequired: The caller's role in the organization is too low.
    """
    org_id = settings.codegen_org_id() if named is None else named
    if org_id is None:
        raise NoDefaultOrganization("The request names no organization, and the deployment has no default one.")
    _check_role(caller, org_id)
    return org_id


def require_codegen_token(caller: Caller) -> None:
    """Refuse a caller for whom Codegen would act on the account of the deployment's own user.

    Raises:
        CodegenTokenRequired: The caller has an API token of this deployment, or no token.
    """
    if not caller.token:
        raise CodegenTokenRequired("This operation acts as the owner of a Codegen token.")


def everywhere(caller: Caller) -> None:
    """Check the role for a request that names no organization: it must suffice in each of the caller's organizations.

    Raises:
        RoleRequired: The caller's role in an organization is too low.
    """
    for org_id in sorted(caller.roles):
        if caller.is_in(org_id):
            _check_role(caller, org_id)


def read_body(event: Event) -> Event:
    """Return the event with its body as text, after a check that it is a JSON object.

    This is stricter than Powertools, which also reads forms, takes the first element of a list as the object, and fails
    on nesting, numbers and surrogates that Python's parser or the request to the upstream cannot handle.

    Raises:
        TooLarge: The body has more than `MAX_BODY` bytes.
        UnsupportedMediaType: The Content-Type is not application/json.
        Unprocessable: The body is not JSON, or not an object.
    """
    content = content_of(event)
    if not content:
        return event
    if len(content) > MAX_BODY:
        raise TooLarge(f"The request body has {len(content)} bytes; the limit is {MAX_BODY}.")
    media_type = headers_of(event).get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", "application/json"):
        raise UnsupportedMediaType(f"The request body is {media_type}.")
    try:
        text = decoded(content)
        parsed = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise _unfit_body("json_invalid", f"JSON decode error: {error}") from None
    if not isinstance(parsed, dict | None):
        raise _unfit_body(
            "model_attributes_type", "Input should be a valid dictionary or object to extract fields from"
        )
    return event | {"body": text, "isBase64Encoded": False}


def _authenticate(event: Event) -> Caller:
    context = authorized(event)
    if refusal := _REFUSALS.get(context.get("refused", "")):
        raise refusal(
            context.get("reason"), retry_after=float(context["retry_after"]) if "retry_after" in context else None
        )
    try:
        return Caller.from_context(context, token_in(headers_of(event)) or "")
    except KeyError:
        raise Unauthorized("The request has no token that the authorizer has accepted.") from None


def _check_role(caller: Caller, org_id: int) -> None:
    """Refuse a caller who is not in an organization, or whose role there is too low for the operation."""
    if not caller.is_in(org_id):
        raise NotAMember
    if caller.token and org_id not in caller.roles and _codegen_decides.get():
        return
    required = _required.get()
    role = caller.roles.get(org_id, Role.MEMBER)
    if required is Role.ADMIN and org_id not in caller.roles:
        # Only operations for admins read the caller's role from Codegen, so other requests do not make that call.
        from codegen_runs.access.codegen_roles import own_role

        role = own_role(caller, org_id)
    if not role.includes(required):
        raise RoleRequired(role, required, org_id)


def _value(event: Event, place: Place) -> Any:
    """Return what a request has in a place, as an operation would read it. Raises `ValueError` if it is not JSON."""
    if place.kind == "query":
        values: list[str] = (event.get("multiValueQueryStringParameters") or {}).get(place.name) or []
        return values[0] if values else None
    content = content_of(event)
    body = from_json(decoded(content), allow_inf_nan=False) if content else None
    return body.get(place.name) if isinstance(body, dict) else None


def _number(value: Any) -> int | None:
    """Return the number that a field of this value has. Raises `ValueError` if it is not a whole number."""
    # Imported here, because few operations name their organization elsewhere than in the path.
    from pydantic_core import SchemaValidator, core_schema

    number: int | None = SchemaValidator(core_schema.nullable_schema(core_schema.int_schema())).validate_python(value)
    return number


def _unfit_body(kind: str, message: str) -> Unprocessable:
    return Unprocessable(errors=[{"loc": ["body"], "msg": message, "type": kind}])
