"""The AWS clients of a process, each made when it is first used: 200 ms that a handler without AWS never pays."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_stepfunctions import SFNClient


@cache
def dynamodb() -> DynamoDBClient:
    """Return the DynamoDB client."""
    client: DynamoDBClient = _client("dynamodb")
    return client


@cache
def step_functions() -> SFNClient:
    """Return the Step Functions client."""
    client: SFNClient = _client("stepfunctions")
    return client


@cache
def lambda_() -> LambdaClient:
    """Return the Lambda client."""
    client: LambdaClient = _client("lambda")
    return client


@cache
def secrets_manager() -> SecretsManagerClient:
    """Return the Secrets Manager client."""
    client: SecretsManagerClient = _client("secretsmanager")
    return client


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard"}))
