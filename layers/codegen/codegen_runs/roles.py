"""Roles: what a caller may do in an organization. A viewer reads, a member acts, an admin manages."""

from __future__ import annotations

from enum import StrEnum

READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods of requests that only read."""


class Role(StrEnum):
    """A role. Each role includes the one before it."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"

    @property
    def permissions(self) -> tuple[str, ...]:
        """The permissions of the role."""
        return PERMISSIONS[: _RANK[self] + 1]

    def includes(self, other: Role) -> bool:
        """Return whether this role may do everything that the other role may."""
        return _RANK[self] >= _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}

PERMISSIONS = ("read", "write", "admin")
"""The permissions. Each permission requires the one before it."""


def lesser(one: Role, other: Role) -> Role:
    """Return the lower of two roles."""
    return other if one.includes(other) else one


def allowed_by(permissions: tuple[str, ...]) -> Role:
    """Return the role that has exactly these permissions, which are the first ones of `PERMISSIONS`, without a gap."""
    return list(Role)[len(permissions) - 1]


def needed_for(method: str) -> Role:
    """Return the role that a method requires by default: viewer for reading, member for everything else."""
    return Role.VIEWER if method.upper() in READING else Role.MEMBER


def at_codegen(role: str | None, *, is_admin: bool | None = None) -> Role:
    """Translate a role of Codegen (ADMIN, MANAGER or MEMBER), for users without a recorded role in this deployment.

    Only an ADMIN becomes an admin: an admin can give roles, and at Codegen a MANAGER cannot. `is_admin` is the field
    that the upstream had before it had roles.
    """
    return Role.ADMIN if (role or "").upper() == "ADMIN" or (role is None and is_admin) else Role.MEMBER
