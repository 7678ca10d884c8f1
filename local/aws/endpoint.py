"""AWS at an endpoint URL: boto3 clients, and what a stack creates there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from local.template import Template


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
        """Create a secret and return its ARN."""
        arn: str = self.client("secretsmanager").create_secret(Name=name, SecretString=value)["ARN"]
        return arn

    def create(self, template: Template) -> None:
        """Create the template's tables, queues and state machines.

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
        queues = self.client("sqs")
        # A queue for messages that were not delivered comes before the one that names it.
        for queue in sorted(template.queues.values(), key=lambda each: "RedrivePolicy" in each.attributes):
            queues.create_queue(QueueName=queue.name, Attributes=dict(queue.attributes))
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
                step_functions.stop_execution(
                    executionArn=execution["executionArn"], cause="The local stack is stopping."
                )
