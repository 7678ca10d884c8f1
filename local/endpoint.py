"""AWS on loopback, as those see it who use it or start it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from local.template import Template


def invocations(function: str) -> str:
    """Return the path at which Lambda takes a function's events."""
    return f"/2015-03-31/functions/{function}/invocations"


def streaming_invocations(function: str) -> str:
    """Return the path at which Lambda takes a function's events and streams its answers."""
    return f"/2021-11-15/functions/{function}/response-streaming-invocations"


class Endpoint:
    """Every AWS service at one URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: Any) -> Any:
        """Return a boto3 client for one service."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(proxies={}),
        )

    def create_secret(self, name: str, value: str) -> str:
        """Keep a secret and return its ARN."""
        arn: str = self.client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"]
        return arn

    def create(self, template: Template) -> None:
        """Create the template's tables and state machines.

        Raises:
            TemplateError: the definition of a state machine cannot be read.
        """
        dynamodb = self.client("dynamodb")
        for table in template.tables.values():
            dynamodb.create_table(**table.create)
            if table.ttl_attribute:
                dynamodb.update_time_to_live(
                    TableName=table.name,
                    TimeToLiveSpecification={"AttributeName": table.ttl_attribute, "Enabled": True},
                )
        step_functions = self.client("stepfunctions")
        for machine in template.state_machines.values():
            step_functions.create_state_machine(
                name=machine.name,
                type=machine.type,
                definition=machine.definition,
                roleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/local",
            )

    def stop_executions(self) -> None:
        """Abort every execution that still runs."""
        step_functions = self.client("stepfunctions")
        for machine in step_functions.list_state_machines()["stateMachines"]:
            running = step_functions.list_executions(stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING")
            for execution in running["executions"]:
                step_functions.stop_execution(executionArn=execution["executionArn"], cause="The local stack ends.")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a stack tells its AWS to deploy.

    `socket` is the descriptor of the socket to listen on, `parameters` those of the template but for the ARN of the
    secret, which keeps `token`. `connections` is where to post to WebSocket connections.
    """

    socket: int
    template: str
    parameters: dict[str, str]
    token: str
    log_dir: str | None
    python: str
    retry_scale: float
    connections: str
