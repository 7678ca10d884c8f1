"""Who sends a request, as the authorizer found out and every handler sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CODEGEN = "codegen"
"""The kind of caller that brings a Codegen token of its own."""

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
    """

    id: str
    user_id: int
    organizations: frozenset[int]
    token: str = field(default="", repr=False)

    def is_in(self, org_id: int) -> bool:
        """Tell whether the caller may act in the organization."""
        return org_id in self.organizations

    def to_context(self) -> dict[str, str]:
        """Return what the authorizer hands on, which is not the token: flat strings, as API Gateway demands."""
        return {
            "caller_id": self.id,
            "user_id": str(self.user_id),
            "organizations": ",".join(str(org_id) for org_id in sorted(self.organizations)),
            "kind": CODEGEN,
        }

    @classmethod
    def from_context(cls, context: Mapping[str, str], token: str) -> "Caller":
        """Read what `to_context` wrote; keep the request's token if it is one for the Codegen API.

        Raises:
            KeyError: The context was not written by the authorizer.
        """
        organizations = context["organizations"]
        kind = context["kind"]
        return cls(
            id=context["caller_id"],
            user_id=int(context["user_id"]),
            organizations=frozenset(int(org_id) for org_id in organizations.split(",") if org_id),
            token=token if kind == CODEGEN else "",
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
