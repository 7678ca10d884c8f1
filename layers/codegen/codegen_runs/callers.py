"""The caller of a request, as the authorizer identifies it and handlers get it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codegen_runs.roles import Role

CODEGEN = "codegen"
"""The kind of a caller with a Codegen token."""

DEPLOYMENT = "deployment"
"""The kind of a caller with an API token of this deployment. The deployment's Codegen token acts for such a caller."""

_BEARER = "bearer "


@dataclass(frozen=True)
class Caller:
    """The user behind a request.

    Attributes:
        id: A stable name of the caller, such as `user:42`, for keys and logs.
        user_id: The id of the user at Codegen.
        organizations: The organizations of the user.
        token: The Codegen token of the request, which is never shown, logged or stored. Empty if the caller has none;
            then the deployment's token is used.
        kind: `CODEGEN` or `DEPLOYMENT`.
        roles: The caller's role by organization, where this deployment knows one. Elsewhere, Codegen's role applies.
        token_id: The id of the API token of this deployment; empty for a Codegen token.
        unconfirmed_since: The time of the last verification (RFC 3339) if the Codegen API cannot confirm the caller
            now; None for a confirmed caller.
    """

    id: str
    user_id: int
    organizations: frozenset[int]
    token: str = field(default="", repr=False)
    kind: str = CODEGEN
    roles: Mapping[int, Role] = field(default_factory=dict, hash=False)
    token_id: str = ""
    unconfirmed_since: str | None = None

    def is_in(self, org_id: int) -> bool:
        """Return whether the caller is in the organization."""
        return org_id in self.organizations

    @property
    def asks_codegen(self) -> bool:
        """Whether requests to Codegen are possible for the caller. A caller with a ticket has no token for them."""
        return bool(self.token) or self.kind == DEPLOYMENT

    def to_context(self) -> dict[str, str]:
        """Return the authorizer's context, without the token. API Gateway allows only strings in it."""
        unconfirmed = {} if self.unconfirmed_since is None else {"unconfirmed_since": self.unconfirmed_since}
        return unconfirmed | {
            "caller_id": self.id,
            "user_id": str(self.user_id),
            "organizations": ",".join(str(org_id) for org_id in sorted(self.organizations)),
            "kind": self.kind,
            "roles": ",".join(f"{org_id}:{role}" for org_id, role in sorted(self.roles.items())),
            "token_id": self.token_id,
        }

    @classmethod
    def from_context(cls, context: Mapping[str, str], token: str) -> "Caller":
        """Return the caller that `to_context` wrote, with the token of the request if it is a Codegen token.

        Raises:
            KeyError: The context was not written by the authorizer.
        """
        organizations = context["organizations"]
        kind = context["kind"]
        # Contexts that were stored before roles existed have none.
        roles = (entry.split(":") for entry in context.get("roles", "").split(",") if entry)
        return cls(
            id=context["caller_id"],
            user_id=int(context["user_id"]),
            organizations=frozenset(int(org_id) for org_id in organizations.split(",") if org_id),
            token=token if kind == CODEGEN else "",
            kind=kind,
            roles={int(org_id): Role(role) for org_id, role in roles},
            token_id=context.get("token_id", ""),
            unconfirmed_since=context.get("unconfirmed_since"),
        )


def token_in(headers: Mapping[str, str]) -> str | None:
    """Return the token in the headers of a request: a Bearer token, else X-API-Key, else None."""
    lower = {name.lower(): value for name, value in headers.items()}
    authorization = lower.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        token = authorization[len(_BEARER) :].strip()
    else:
        token = lower.get("x-api-key", "").strip()
    return token or None


def address_of(event: Mapping[str, Any]) -> str | None:
    """Return the IP address that a request to the gateway came from. The client cannot choose it."""
    identity: Mapping[str, str] = event.get("requestContext", {}).get("identity") or {}
    return identity.get("sourceIp")
