"""Count the calls of the schedule; GET /count - return the count and the deployment's secret."""

import json
import os

import boto3

dynamodb, secrets = boto3.client("dynamodb"), boto3.client("secretsmanager")


def handler(event, context):
    item = {"TableName": os.environ["NOTES"], "Key": {"pk": {"S": "count"}}}
    if event.get("source") == "aws.scheduler":
        dynamodb.update_item(**item, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})
        return None
    found = dynamodb.get_item(**item, ConsistentRead=True).get("Item", {"n": {"N": "0"}})
    secret = secrets.get_secret_value(SecretId=os.environ["SECRET"])["SecretString"]
    return {"statusCode": 200, "body": json.dumps({"count": int(found["n"]["N"]), "secret": secret})}
