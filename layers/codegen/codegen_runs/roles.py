"""What somebody may do in an organization: read, act, or manage."""

from __future__ import annotations

from enum import StrEnum

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""


class Role(StrEnum):
    """A role; each may do all that the one before it may."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"

    @property
    def permissions(self) -> tuple[str, ...]:
        """The words of those who think in permissions: what the role amounts to."""
        return PERMISSIONS[: _RANK[self] + 1]

    def includes(self, other: Role) -> bool:
        """Tell whether who has this role may do what the other one may."""
        return _RANK[self] >= _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}

PERMISSIONS = ("read", "write", "admin")
"""Permissions, each of which needs the one before it."""


def lesser(one: Role, other: Role) -> Role:
    """Return the role of the two that may do less."""
    return other if one.includes(other) else one


def allowed_by(permissions: tuple[str, ...]) -> Role:
    """Return the role that permissions amount to, the first of `PERMISSIONS` and on without a gap."""
    return list(Role)[len(permissions) - 1]


def needed_for(method: str) -> Role:
    """Return the role that a request needs where nothing else is said: who only reads needs the least."""
    return Role.VIEWER if method.upper() in READING else Role.MEMBER


def at_codegen(role: str | None, *, is_admin: bool | None = None) -> Role:
    """Translate Codegen's own role, ADMIN, MANAGER or MEMBER, where this deployment has no record of its own.

    Only an ADMIN manages here: a role that can give roles away is not guessed from one that cannot. `is_admin` is what
    the upstream said before it had roles.
    """
    return Role.ADMIN if (role or "").upper() == "ADMIN" or (role is None and is_admin) else Role.MEMBER
