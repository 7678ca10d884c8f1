"""The response of a Lambda authorizer, and whether its policy allows a request."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from local.cloudformation import text_of


class Statement(BaseModel):
    """One statement of a policy. A statement with a condition is not supported and fails validation."""

    model_config = ConfigDict(extra="forbid")

    sid: str | None = Field(None, alias="Sid")
    effect: Literal["Allow", "Deny"] = Field(alias="Effect")
    action: str | list[str] = Field(alias="Action")
    resource: str | list[str] = Field(alias="Resource")

    def covers(self, method_arn: str) -> bool:
        """Return whether the statement applies to a call of this method."""
        return _matches(self.action, "execute-api:Invoke") and _matches(self.resource, method_arn)


class Policy(BaseModel):
    """An IAM policy document."""

    statements: list[Statement] = Field(alias="Statement")


class Authorization(BaseModel):
    """The response of a Lambda authorizer: the caller, the policy, and the context for functions."""

    principal_id: str = Field(alias="principalId")
    policy: Policy = Field(alias="policyDocument")
    context: dict[str, str | int | float | bool | None] = {}

    def allows(self, method_arn: str) -> bool:
        """Return whether a statement allows the method and none denies it."""
        effects = {statement.effect for statement in self.policy.statements if statement.covers(method_arn)}
        return effects == {"Allow"}

    def passed_on(self) -> dict[str, Any]:
        """Return the `requestContext.authorizer` of a function's event. Every value is text."""
        context = {name: text_of(value) for name, value in self.context.items() if value is not None}
        return {**context, "principalId": self.principal_id}


def _matches(patterns: str | list[str], text: str) -> bool:
    """Return whether a pattern matches. In IAM's patterns `*` is any number of characters and `?` is one."""
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text, re.DOTALL)
        for pattern in ([patterns] if isinstance(patterns, str) else patterns)
    )
