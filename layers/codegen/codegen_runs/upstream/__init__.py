"""Clients of the Codegen API that act as the caller or as the deployment, and how its errors are answered."""

from codegen_runs.upstream.clients import (
    budget_of,
    deployment_budget,
    deployment_token,
    for_caller,
    for_deployment,
    for_token,
    over,
    without_retries,
)
from codegen_runs.upstream.errors import is_outage

__all__ = [
    "budget_of",
    "deployment_budget",
    "deployment_token",
    "for_caller",
    "for_deployment",
    "for_token",
    "is_outage",
    "over",
    "without_retries",
]
