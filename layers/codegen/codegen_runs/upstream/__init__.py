"""Clients of the Codegen API that act as the caller or as the deployment, and how its errors are answered."""

from codegen_runs.upstream.clients import (
    deployment_quota,
    deployment_token,
    for_caller,
    for_deployment,
    for_token,
    over,
    quota_of,
    without_retries,
)
from codegen_runs.upstream.errors import is_outage

__all__ = [
    "deployment_quota",
    "deployment_token",
    "for_caller",
    "for_deployment",
    "for_token",
    "is_outage",
    "over",
    "quota_of",
    "without_retries",
]
