"""Clients of the AWS services that the handlers use, over the connection pool of the process.

Importing boto3 and creating its first client takes as long as the rest of a cold start, because boto3 reads the models
of all services (docs/decisions/0003). The services used here have JSON requests and answers, so a client needs only a
signature, retries and the services' error codes. Operations, parameters and answers are those of boto3's clients, and
have their types.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from codegen_runs.aws.calls import AwsError, Unanswered, pause, wire
from codegen_runs.aws.services import ConnectionsClient, FunctionsClient, JsonClient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

__all__ = [
    "AwsError",
    "Unanswered",
    "connections",
    "dynamodb",
    "lambda_",
    "pause",
    "secrets_manager",
    "sqs",
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
def sqs() -> SQSClient:
    """Return the SQS client."""
    return cast("SQSClient", JsonClient("sqs", "AmazonSQS", version="1.0"))


@cache
def lambda_() -> FunctionsClient:
    """Return the Lambda client."""
    return FunctionsClient()


@cache
def connections(url: str, timeout: float) -> ConnectionsClient:
    """Return the client of a WebSocket API's connections.

    Args:
        url: The URL of the API, with its stage.
        timeout: The most seconds that one request may take.
    """
    return ConnectionsClient(url, timeout)
