"""Clients of the Codegen API that act as the caller or as the deployment, and how its errors are answered."""

import codegen_runs.upstream.errors  # noqa: F401 - registers how errors of the Codegen API are answered
from codegen_runs.upstream.clients import (
    budget_of,
    deployment_budget,
    deployment_token,
    for_caller,
    for_deployment,
    for_token,
    over,
)

__all__ = [
    "budget_of",
    "deployment_budget",
    "deployment_token",
    "for_caller",
    "for_deployment",
    "for_token",
    "over",
]
