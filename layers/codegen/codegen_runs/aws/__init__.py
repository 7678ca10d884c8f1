"""The AWS services that the handlers use, over the connection pool that they have already.

To import boto3 and make its first client takes as long as everything else that a function starts with: it reads the
models of all services to find out how to call one (docs/decisions/0003). These speak JSON both ways, so what is left
is a signature, a retry, and the services' own words for what went wrong. Operations, parameters and answers are those
of boto3's clients, and typed as such.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from codegen_runs.aws.calls import AwsError, Unanswered, wire
from codegen_runs.aws.services import ConnectionsClient, FunctionsClient, JsonClient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = [
    "AwsError",
    "Unanswered",
    "connections",
    "dynamodb",
    "lambda_",
    "secrets_manager",
    "step_functions",
    "wire",
]


@cache
def dynamodb() -> DynamoDBClient:
    """Return the DynamoDB client."""
    return cast("DynamoDBClient", JsonClient("dynamodb", "DynamoDB_20120810", version="1.0"))


@cache
def step_functions() -> SFNClient:
    """Return the Step Functions client."""
    return cast("SFNClient", JsonClient("states", "AWSStepFunctions", version="1.0"))


@cache
def secrets_manager() -> SecretsManagerClient:
    """Return the Secrets Manager client."""
    return cast("SecretsManagerClient", JsonClient("secretsmanager", "secretsmanager", version="1.1"))


@cache
def lambda_() -> FunctionsClient:
    """Return the Lambda client."""
    return FunctionsClient()


@cache
def connections(url: str, timeout: float) -> ConnectionsClient:
    """Return the client of a WebSocket API's connections.

    Args:
        url: The API's own address, with its stage.
        timeout: Seconds that one request may take.
    """
    return ConnectionsClient(url, timeout)
