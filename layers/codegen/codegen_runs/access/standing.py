"""Find the caller of a token with the roles of the caller, for both kinds of token.

The owner of a token and the owner's organizations are cached for minutes (see `authentication`). Decisions of this
deployment are not: an API token is read for each request, so the first request after it was revoked is refused, and a
changed role applies within `ROLE_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

from codegen_runs.access import secret
from codegen_runs.access.authentication import Authenticator, Find, TokenRefused, codegen_user
from codegen_runs.access.codegen_roles import maker_of
from codegen_runs.backend import Backend
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.events import timestamp
from codegen_runs.logs import logger
from codegen_runs.problems import StorageUnavailable, TokenExpired, TokenRevoked
from codegen_runs.roles import Role, lesser
from codegen_runs.storage.access import ApiToken

ROLE_SECONDS = 5
USE_SECONDS = 3600
"""The precision of a token's last use, in seconds: it is written once an hour and not for each request."""

_MOST_REMEMBERED = 1_000


class Standing:
    """Finds callers by their tokens, with their roles.

    Args:
        backend: The backend; its access table and its clock are used, and for `caller` its callers table.
        codegen_caller: Returns the owner of a Codegen token.
        maker: Returns the creator of an API token with their current organizations and roles, within some seconds.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        codegen_caller: Find = codegen_user,
        maker: Callable[[ApiToken, float], Caller] = maker_of,
    ) -> None:
        self._backend = backend
        self._access = backend.access
        self._clock = backend.clock
        self._codegen_caller = codegen_caller
        self._maker = maker
        self._roles: dict[tuple[int, frozenset[int]], tuple[float, dict[int, Role]]] = {}

    @cached_property
    def _authenticator(self) -> Authenticator:
        return Authenticator(self._backend.callers, self._clock, self._find, shares=self._backend.shares)

    def caller(self, token: str, deadline: float, address: str | None = None) -> Caller:
        """Return the caller of a token.

        Args:
            token: The token.
            deadline: Seconds from now within which to answer.
            address: The IP address of the request; None if refusals are not counted for it.

        Raises:
            TokenRefused: The token is not valid.
            TooManyRefusedTokens: The token is unknown, and many tokens of this address were refused.
            TokenExpired, TokenRevoked: It is an API token of this deployment that has expired or was revoked.
            CodegenAPIError, CredentialsRefused: Codegen could not be asked for the owner.
            StorageUnavailable: The token or the roles could not be read. Nobody is admitted during an outage.
        """
        caller = self._authenticator.caller(token, deadline, address)
        if caller.kind != DEPLOYMENT:
            return replace(caller, roles=self._recorded_roles(caller))
        api_token = self._valid(self._access.token(caller.user_id, caller.token_id))
        self._note_use(api_token)
        return self._with_roles(caller, api_token)

    def check_token_of(self, caller: Caller) -> None:
        """Refuse a caller who was identified earlier, such as by a ticket, if the caller's API token has ended since.

        Raises:
            TokenRefused, TokenExpired, TokenRevoked: The token has ended.
            StorageUnavailable: The token could not be read.
        """
        if caller.kind == DEPLOYMENT:
            self._valid(self._access.token(caller.user_id, caller.token_id))

    def maker(self, user_id: int, token_id: str, deadline: float) -> Caller:
        """Return the creator of an API token with their roles now, for work that was requested with it earlier.

        Args:
            user_id: The id of the creator.
            token_id: The id of the token.
            deadline: Seconds from now within which to answer.

        Raises what `caller` raises, apart from `TooManyRefusedTokens`.
        """
        api_token = self._valid(self._access.token(user_id, token_id))
        return self._with_roles(self._maker(api_token, deadline), api_token)

    def _find(self, token: str, deadline: float, known: Caller | None) -> Caller:
        if not secret.claims_to_be_one(token):
            return self._codegen_caller(token, deadline, known)
        if not secret.is_well_formed(token):
            raise TokenRefused
        return self._maker(self._valid(self._access.token_by_hash(secret.digest(token))), deadline)

    def _valid(self, token: ApiToken | None) -> ApiToken:
        if token is None:
            raise TokenRefused
        if token.revoked_at is not None:
            raise TokenRevoked(f"The API token was revoked at {timestamp(token.revoked_at)}.")
        if token.expires_at is not None and token.expires_at <= self._clock.now():
            raise TokenExpired(f"The API token expired at {timestamp(token.expires_at)}.")
        return token

    def _with_roles(self, caller: Caller, api_token: ApiToken) -> Caller:
        recorded = self._recorded_roles(caller)
        roles = {org_id: lesser(api_token.role, recorded.get(org_id, role)) for org_id, role in caller.roles.items()}
        return replace(caller, roles=roles)

    def _note_use(self, token: ApiToken) -> None:
        now = int(self._clock.now())
        if token.last_used_at is None or now - token.last_used_at >= USE_SECONDS:
            try:
                self._access.note_use(token, now)
            except StorageUnavailable:
                logger.warning("Could not store when a token was last used.", exc_info=True)

    def _recorded_roles(self, caller: Caller) -> dict[int, Role]:
        key, now = (caller.user_id, caller.organizations), self._clock.now()
        until, roles = self._roles.get(key, (now, {}))
        if until <= now:
            roles = self._access.roles(caller.user_id, sorted(caller.organizations))
            if len(self._roles) >= _MOST_REMEMBERED:
                self._roles.clear()
            self._roles[key] = now + ROLE_SECONDS, roles
        return roles
