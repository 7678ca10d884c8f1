"""The access table: API tokens of this deployment, recorded roles, and settings of organizations.

| pk             | sk             | item                                           |
|----------------|----------------|------------------------------------------------|
| `user#{user}`  | `token#{id}`   | the `ApiToken`; ids sort by time of creation   |
| `user#{user}`  | `made`         | `rev`: the number of tokens that the user has made |
| `secret#{sha}` | `secret`       | the user and id of the token with this hash    |
| `org#{org}`    | `member#{user}`| the `Member`                                   |
| `org#{org}`    | `organization` | the `OrganizationRecord`                       |

Every write to an organization or its members requires the revision of the organization that was read before, so two
admins who demote each other cannot both succeed. DynamoDB deletes tokens some time after `forgotten_at` (epoch
seconds).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from codegen_runs.roles import Role, allowed_by, lesser
from codegen_runs.storage.table import ABSENT, PRESENT, Condition, ConditionFailed, Item, Table, transact

# Seconds for which an expired or revoked token is stored, so that requests with it get the reason.
_KEPT_ENDED = 30 * 86_400

_ATTEMPTS = 10  # How many times a token is stored again that was made at the same time as another one.


class ApiToken(BaseModel):
    """One API token, without its secret. Times are epoch seconds."""

    model_config = ConfigDict(frozen=True)

    id: str
    user_id: int
    name: str
    prefix: str
    """The first characters of the secret."""
    role: Role
    """The highest role of the token. It is never higher than that of its creator."""
    organizations: tuple[int, ...]
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None
    revoked_at: int | None = None


class Member(BaseModel):
    """The role that this deployment has given to a user of an organization. Times are epoch seconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    user_id: int
    role: Role
    permissions: tuple[str, ...]
    """At most the permissions of the role."""
    updated_at: int
    updated_by: str

    @property
    def effective_role(self) -> Role:
        """The role that applies: the given role, reduced to the permissions."""
        return lesser(self.role, allowed_by(self.permissions))


class OrganizationRecord(BaseModel):
    """What was set for an organization in this deployment. Times are epoch seconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    name: str | None = None
    settings: dict[str, Any] = {}
    updated_at: int | None = None
    updated_by: str | None = None
    rev: int = 0
    """Counts the writes to the organization and its members."""


class AccessTable:
    """Tokens, members and organizations. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def add_token(
        self, make: Callable[[int], ApiToken], sha: str, *, user_id: int, now: int, most: int
    ) -> ApiToken | None:
        """Store a new token under its hash, and return it; None if its user has `most` valid tokens already.

        Tokens that a user makes at the same time are stored one after the other. Raises `ConditionFailed` if the id or
        the hash exists already, or if other tokens are stored again and again.

        Args:
            make: Returns the token, given its number among all tokens that the user has made.
            sha: The hash.
            user_id: The user.
            now: The time, in epoch seconds.
            most: How many valid tokens the user may have.
        """
        made = {"pk": f"user#{user_id}", "sk": "made"}
        for left in reversed(range(_ATTEMPTS)):
            rev = (self._table.get(made) or {}).get("rev")
            if self._valid_tokens(user_id, now, most) >= most:
                return None
            token = make((rev or 0) + 1)
            kept = {} if token.expires_at is None else {"forgotten_at": token.expires_at + _KEPT_ENDED}
            item = _token_key(user_id, token.id) | token.model_dump(mode="json", exclude_none=True) | kept
            pointer = _secret_key(sha) | {"user_id": user_id, "id": token.id} | kept
            unchanged = ABSENT if rev is None else Condition("#rev = :seen", {"seen": rev})
            try:
                transact(
                    [
                        ("Put", self._table.put_action(item, ABSENT)),
                        ("Put", self._table.put_action(pointer, ABSENT)),
                        ("Put", self._table.put_action(made | {"rev": (rev or 0) + 1}, unchanged)),
                    ]
                )
            except ConditionFailed:
                if not left:
                    raise
            else:
                return token
        return None

    def _valid_tokens(self, user_id: int, now: int, most: int) -> int:
        """Count the tokens of a user that have not ended, up to `most`."""
        valid, before = 0, None
        while valid < most:
            tokens, before = self.tokens(user_id, 100, before)
            valid += sum(token.expires_at is None or token.expires_at > now for token in tokens)
            if before is None:
                break
        return valid

    def token_by_hash(self, sha: str) -> ApiToken | None:
        """Read the token with this hash."""
        pointer = self._table.get(_secret_key(sha))
        return self.token(pointer["user_id"], pointer["id"]) if pointer else None

    def token(self, user_id: int, token_id: str) -> ApiToken | None:
        """Read a token of a user."""
        item = self._table.get(_token_key(user_id, token_id))
        return ApiToken.model_validate(item) if item else None

    def tokens(self, user_id: int, limit: int, before: str | None) -> tuple[list[ApiToken], str | None]:
        """List the tokens of a user that are not revoked, newest first, starting after the id `before`.

        Returns:
            The tokens, and the id after which to continue if there may be more.
        """
        condition = Condition("#pk = :pk AND begins_with(#sk, :sk)", {"pk": f"user#{user_id}", "sk": "token#"})
        start: Item | None = _token_key(user_id, before) if before else None
        tokens: list[ApiToken] = []
        while True:
            items, start = self._table.query(condition, limit=limit - len(tokens), newest_first=True, start=start)
            tokens += [token for token in map(ApiToken.model_validate, items) if token.revoked_at is None]
            if start is None or len(tokens) == limit:
                return tokens, str(start["sk"]).removeprefix("token#") if start else None

    def revoke_token(self, user_id: int, token_id: str, now: int) -> bool:
        """Store the time at which a token is first revoked; False if the user has no such token."""
        try:
            self._table.update(
                _token_key(user_id, token_id),
                {"revoked_at": now, "forgotten_at": now + _KEPT_ENDED},
                Condition("attribute_exists(#pk) AND attribute_not_exists(#revoked_at)"),
            )
        except ConditionFailed:
            return self.token(user_id, token_id) is not None
        return True

    def note_use(self, token: ApiToken, now: int) -> None:
        """Store when a token was last used."""
        try:
            self._table.update(_token_key(token.user_id, token.id), {"last_used_at": now}, PRESENT)
        except ConditionFailed:
            return

    def organization(self, org_id: int) -> OrganizationRecord:
        """Read the record of an organization; an empty one if nothing was set."""
        item = self._table.get(_organization_key(org_id))
        if item is None:
            return OrganizationRecord(org_id=org_id)
        return OrganizationRecord.model_validate(item | {"settings": json.loads(item.get("settings", "{}"))})

    def write_organization(self, record: OrganizationRecord, **changes: Any) -> OrganizationRecord:
        """Change an organization and return its record. Raises `ConditionFailed` if it was written since `record`."""
        following = record.model_copy(update=changes | {"rev": record.rev + 1})
        # Stored as JSON text, because settings may contain numbers that DynamoDB cannot store.
        item = following.model_dump(mode="json", exclude_none=True) | {"settings": json.dumps(following.settings)}
        self._table.put(_organization_key(record.org_id) | item, _unchanged(record))
        return following

    def member(self, org_id: int, user_id: int) -> Member | None:
        """Read the role that was given to a user."""
        item = self._table.get(_member_key(org_id, user_id))
        return Member.model_validate(item) if item else None

    def roles(self, user_id: int, organizations: Iterable[int]) -> dict[int, Role]:
        """Read the roles that were given to a user in some organizations, by organization."""
        items = self._table.get_many([_member_key(org_id, user_id) for org_id in organizations])
        return {member.org_id: member.effective_role for member in map(Member.model_validate, items)}

    def members(self, org_id: int, user_ids: Iterable[int]) -> dict[int, Member]:
        """Read the roles that were given to some users of an organization, by user."""
        items = self._table.get_many([_member_key(org_id, user_id) for user_id in user_ids])
        return {member.user_id: member for member in map(Member.model_validate, items)}

    def write_member(self, member: Member, record: OrganizationRecord) -> None:
        """Give a user a role. Raises `ConditionFailed` if the organization or a member was written since `record`."""
        item = _member_key(member.org_id, member.user_id) | member.model_dump(mode="json")
        changes = {"org_id": record.org_id, "rev": record.rev + 1}
        transact(
            [
                ("Put", self._table.put_action(item)),
                ("Update", self._table.update_action(_organization_key(record.org_id), changes, _unchanged(record))),
            ]
        )


def _unchanged(record: OrganizationRecord) -> Condition:
    return Condition("#rev = :rev", {"rev": record.rev}) if record.rev else ABSENT


def _token_key(user_id: int, token_id: str) -> dict[str, str]:
    return {"pk": f"user#{user_id}", "sk": f"token#{token_id}"}


def _secret_key(sha: str) -> dict[str, str]:
    return {"pk": f"secret#{sha}", "sk": "secret"}


def _member_key(org_id: int, user_id: int) -> dict[str, str]:
    return {"pk": f"org#{org_id}", "sk": f"member#{user_id}"}


def _organization_key(org_id: int) -> dict[str, str]:
    return {"pk": f"org#{org_id}", "sk": "organization"}
