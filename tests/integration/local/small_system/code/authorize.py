"""REQUEST authorizer that allows one token."""


def handler(event, context):
    if event["headers"].get("authorization") != "Bearer let-me-in":
        raise Exception("Unauthorized")  # noqa: TRY002 - API Gateway expects this message
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}
    return {"principalId": "me", "policyDocument": {"Statement": [statement]}, "context": {"number": 7}}
