"""Masks the secrets that agents print: text that looks like a token is replaced before it is stored."""

from __future__ import annotations

import re
from typing import Any

MASK = "[redacted]"

_SECRETS = re.compile(
    r"""
    \b(?:
        sk-[A-Za-z0-9_-]{16,}                              # Codegen, OpenAI, Anthropic
      | cgr_[A-Za-z0-9]{20,}                               # this deployment
      | gh[pousr]_[A-Za-z0-9]{20,} | github_pat_\w{20,}    # GitHub
      | xox[abprs]-[A-Za-z0-9-]{10,}                       # Slack
      | (?:AKIA|ASIA)[A-Z0-9]{16}                          # AWS access keys
      | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}              # JSON Web Tokens
    )
    | (?<=[Bb]earer\s)[A-Za-z0-9._~+/=-]{16,}
    """,
    re.VERBOSE,
)


def redact(value: Any) -> Any:
    """Return a JSON value in which every text that looks like a secret is masked, also in names of members."""
    if isinstance(value, str):
        return _SECRETS.sub(MASK, value)
    if isinstance(value, list):
        return [redact(element) for element in value]
    if isinstance(value, dict):
        return {redact(name): redact(member) for name, member in value.items()}
    return value
