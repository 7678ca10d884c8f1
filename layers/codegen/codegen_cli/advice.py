"""Error messages: what happened, and which command or option helps.

A deployment sends a remedy with each error. Many of them are about requests, not about commands. The advice for
these errors is in `OWN`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codegen_api import CodegenAPIError

_LOG_IN = "Log in with: codegen-runs auth login"
_CHECK_ID = "Check the id."
_NEW_ATTEMPT = "Read the current state, then repeat the command."
_WAIT = "Wait, then repeat the command."
_REPORT = "Report the request id to the operator of the deployment."
_ANOTHER_TOKEN = "Use the token of a user who may do this: codegen-runs auth login"  # noqa: S105
_OLDER = "The deployment may be older than this command line."
_LESS = "Read less at once with --limit."
_NEW_TOKEN = "Create another token with: codegen-runs token create"  # noqa: S105

# By the `code` of a problem.
OWN = {
    "webhook_exists": "Add --forward to have its calls forwarded, or leave the doorbell off.",
    "webhook_secret_needed": "Add --with-secret and enter its secret.",
    "doorbell_unreachable": "Turn the doorbell on at a deployment on the internet, with --base-url.",
    "webhook_endpoint_disabled": "Enable the endpoint first, with webhook-endpoint edit --enable.",
    "agent_changed": "Read the agent with `codegen-runs agent view`, then repeat the change with its --version.",
    "agent_exists": "Choose another id, or change the existing agent with: codegen-runs agent edit",
    "agent_not_found": "List the agents with: codegen-runs agent list",
    "agent_not_matched": _NEW_ATTEMPT,
    "answer_too_large": _LESS,
    "api_token_required": "Use an API token, or close them later: codegen-runs multi-run pick --close-losers",
    "api_token_not_found": "List your tokens with: codegen-runs token list",
    "audit_unavailable": "Nothing was changed. " + _WAIT,
    "bad_request": "",
    "body_too_large": "Shorten the prompt.",
    "cancel_needs_pr_ban": "Add --allow-pr-ban to allow the ban, or let the run continue.",
    "checkpoint_not_found": "List the checkpoints of a run with: codegen-runs checkpoint list",
    "codegen_token_required": "Use your own Codegen token instead of an API token: codegen-runs auth login",
    "cursor_expired": "Leave out --after to get the events that are still stored.",
    "entry_too_large": _LESS,
    "forbidden": _ANOTHER_TOKEN,
    "gone": _NEW_ATTEMPT,
    "idempotency_key_reused": "Repeat the command.",
    "identity_unconfirmed": _WAIT,
    "internal_error": _REPORT,
    "invalid_idempotency_key": _NEW_ATTEMPT,
    "invalid_cursor": "Leave out --after to begin at the start.",
    "limit_used_up": "See what is left of the limits with: codegen-runs limits",
    "members_changing": "Repeat the command.",
    "method_not_allowed": _OLDER,
    "multi_run_not_found": "List the multi-runs with: codegen-runs multi-run list",
    "no_default_organization": "Name the organization with --org-id.",
    "no_deployment_token": "Ask the operator of the deployment to store a Codegen token.",
    "not_a_member": "Name one of your organizations with --org-id, or use another token: codegen-runs auth login",
    "nothing_to_replay": "Give the prompt to continue with: --prompt",
    "organization_changing": "Repeat the command.",
    "outcome_unknown": "Check whether it took effect, for example with: codegen-runs run list",
    "precondition_failed": _NEW_ATTEMPT,
    "rate_limited": _WAIT,
    "request_in_progress": _WAIT,
    "role_required": _ANOTHER_TOKEN,
    "route_not_found": _OLDER,
    "run_not_found": "List the runs with: codegen-runs run list",
    "run_not_paused": "Continue the run with another prompt: codegen-runs run follow-up",
    "session_busy": "Wait for the end of the turn, or cancel its run. Then repeat the command.",
    "session_not_found": "Leave out --session to begin a new conversation.",
    "session_of_another_agent": "Name the agent that the conversation began with, or leave out --session.",
    "settings_too_large": "Remove settings first.",
    "storage_refused": _REPORT,
    "token_expired": _LOG_IN,
    "token_revoked": _LOG_IN,
    "too_many_api_tokens": "Revoke a token that you no longer use with: codegen-runs token revoke",
    "too_many_candidates": "Start another multi-run with: codegen-runs multi-run start",
    "too_many_refused_tokens": "Wait for a minute. Then log in with a valid token: codegen-runs auth login",
    "too_many_requests": _WAIT,
    "unauthorized": _LOG_IN,
    "upstream_unavailable": _WAIT,
    "unsupported_media_type": _OLDER,
    "validation_failed": "",
}

# By the status, for an error without a `code`: the Codegen API has none.
_BY_STATUS = {401: _LOG_IN, 402: "Upgrade the organization's plan at Codegen.", 404: _CHECK_ID, 429: _WAIT}

# What the client says to programs, and what it means here.
_FOR_PROGRAMS = {
    "no token: pass token, set CODEGEN_API_TOKEN or write ~/.codegen/config.json": (
        "there is no token. Log in with `codegen-runs auth login`, or set CODEGEN_API_TOKEN"
    ),
    "no organization: pass org_id or set CODEGEN_ORG_ID": (
        "there is no organization. Name it with --org-id, or set CODEGEN_ORG_ID"
    ),
    "the argument org_id": "--org-id",
    "the argument base_url": "--base-url",
    "set base_url to": "set --base-url to",
}


# Where a value was in the request.
_PLACE = re.compile(r"\b(?:query|body|path)\.([\w.]+):")


def message(error: CodegenAPIError) -> str:
    """Return the message of an error, with advice."""
    parts = (_sentence(part) for part in (error.message, _known(error), _advice(error)) if part)
    text = " ".join([*parts, *_request_id(error)])
    for programs, people in _FOR_PROGRAMS.items():
        text = re.sub(re.escape(programs), people, text, flags=re.IGNORECASE)
    text = _PLACE.sub(lambda match: f"{match[1].replace('_', '-')}:", text)
    return text[:1].upper() + text[1:]


def _known(error: CodegenAPIError) -> str:
    """Return what the client knows about an error beside the server's remedy, such as the setting behind it."""
    return (error.remedy or "").replace(_remedy(error), "").strip()


def _advice(error: CodegenAPIError) -> str:
    if error.code is not None:
        return OWN.get(error.code, _remedy(error))
    return _remedy(error) or _BY_STATUS.get(error.status_code or 0, "")


def _remedy(error: CodegenAPIError) -> str:
    remedy = error.body.get("remedy") if isinstance(error.body, dict) else None
    return remedy if isinstance(remedy, str) else ""


def _sentence(text: str) -> str:
    text = text.strip()
    is_open = text[-1:].isalnum() and "codegen-runs" not in text
    return f"{text}." if is_open else text


def _request_id(error: CodegenAPIError) -> list[str]:
    is_failure = error.status_code is not None and error.status_code >= 500
    return [f"(request id: {error.request_id})"] if is_failure and error.request_id else []
