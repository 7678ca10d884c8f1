"""What a Lambda authorizer answers, and whether it lets a request through."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from local.cloudformation import text_of


class Statement(BaseModel):
    """One statement of a policy. One with a condition is refused, as a malformed policy."""

    model_config = ConfigDict(extra="forbid")

    sid: str | None = Field(None, alias="Sid")
    effect: Literal["Allow", "Deny"] = Field(alias="Effect")
    action: str | list[str] = Field(alias="Action")
    resource: str | list[str] = Field(alias="Resource")

    def covers(self, method_arn: str) -> bool:
        """Whether the statement is about calling this method."""
        return _matches(self.action, "execute-api:Invoke") and _matches(self.resource, method_arn)


class Policy(BaseModel):
    """An IAM policy document."""

    statements: list[Statement] = Field(alias="Statement")


class Authorization(BaseModel):
    """The answer of a Lambda authorizer: who calls, what they may call, and what the functions are told of them."""

    principal_id: str = Field(alias="principalId")
    policy: Policy = Field(alias="policyDocument")
    context: dict[str, str | int | float | bool | None] = {}

    def allows(self, method_arn: str) -> bool:
        """Whether some statement allows the method and none denies it."""
        effects = {statement.effect for statement in self.policy.statements if statement.covers(method_arn)}
        return effects == {"Allow"}

    def passed_on(self) -> dict[str, Any]:
        """Return what a function finds in `requestContext.authorizer`: every value is text."""
        told = {name: text_of(value) for name, value in self.context.items() if value is not None}
        return {**told, "principalId": self.principal_id}


def _matches(patterns: str | list[str], text: str) -> bool:
    """Match IAM's wildcards: `*` is any number of characters, `?` one."""
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL)
        for pattern in ([patterns] if isinstance(patterns, str) else patterns)
    )
