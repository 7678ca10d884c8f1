"""Who sends a request, as the authorizer found out and every handler sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from codegen_runs.roles import Role

CODEGEN = "codegen"
"""The kind of caller that brings a Codegen token of its own."""

DEPLOYMENT = "deployment"
"""The kind that brings an API token of this deployment, whose own Codegen token then acts for them."""

_BEARER = "bearer "


@dataclass(frozen=True)
class Caller:
    """The user behind a request.

    Attributes:
        id: A name that stays the same for the same caller, such as `user:42`. Fit for keys and logs.
        user_id: The user at Codegen.
        organizations: The organizations the user is in.
        token: The Codegen token of the request. Never shown, logged or stored. Empty where the caller has none of their
            own; the deployment's then acts for them.
        kind: `CODEGEN` or `DEPLOYMENT`.
        roles: The caller's role by organization, where one is known here; where none is, Codegen's own is theirs.
        token_id: Which token of this deployment it is, if one.
    """

    id: str
    user_id: int
    organizations: frozenset[int]
    token: str = field(default="", repr=False)
    kind: str = CODEGEN
    roles: Mapping[int, Role] = field(default_factory=dict, hash=False)
    token_id: str = ""

    def is_in(self, org_id: int) -> bool:
        """Tell whether the caller may act in the organization."""
        return org_id in self.organizations

    @property
    def asks_codegen(self) -> bool:
        """Whether there is a token to ask Codegen with: who comes with a ticket has none."""
        return bool(self.token) or self.kind == DEPLOYMENT

    def to_context(self) -> dict[str, str]:
        """Return what the authorizer hands on, which is not the token: flat strings, as API Gateway demands."""
        return {
            "caller_id": self.id,
            "user_id": str(self.user_id),
            "organizations": ",".join(str(org_id) for org_id in sorted(self.organizations)),
            "kind": self.kind,
            "roles": ",".join(f"{org_id}:{role}" for org_id, role in sorted(self.roles.items())),
            "token_id": self.token_id,
        }

    @classmethod
    def from_context(cls, context: Mapping[str, str], token: str) -> "Caller":
        """Read what `to_context` wrote; keep the request's token if it is one for the Codegen API.

        Raises:
            KeyError: The context was not written by the authorizer.
        """
        organizations = context["organizations"]
        kind = context["kind"]
        # What was kept before there were roles has none.
        roles = (entry.split(":") for entry in context.get("roles", "").split(",") if entry)
        return cls(
            id=context["caller_id"],
            user_id=int(context["user_id"]),
            organizations=frozenset(int(org_id) for org_id in organizations.split(",") if org_id),
            token=token if kind == CODEGEN else "",
            kind=kind,
            roles={int(org_id): Role(role) for org_id, role in roles},
            token_id=context.get("token_id", ""),
        )


def token_in(headers: Mapping[str, str]) -> str | None:
    """Return the token that the headers of a request carry, a Bearer token or else X-API-Key, or None."""
    lower = {name.lower(): value for name, value in headers.items()}
    authorization = lower.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        token = authorization[len(_BEARER) :].strip()
    else:
        token = lower.get("x-api-key", "").strip()
    return token or None
