"""Secrets that agents print: anything that looks like a token is masked before it is stored."""

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
    """Return the JSON value with every string inside it masked where it looks like a secret."""
    if isinstance(value, str):
        return _SECRETS.sub(MASK, value)
    if isinstance(value, list):
        return [redact(each) for each in value]
    if isinstance(value, dict):
        return {redact(name): redact(each) for name, each in value.items()}
    return value
