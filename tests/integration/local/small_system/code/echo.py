"""POST /echo/{id} - answer the event and the environment."""

import json
import os


def handler(event, context):
    return {"statusCode": 201, "body": json.dumps({"event": event, "environment": dict(os.environ)})}
