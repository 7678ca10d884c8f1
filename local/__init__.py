"""The system on one machine, from the same template.yaml that is deployed to AWS.

    python -m local                   `__main__`: the command line, for a system that stays until Ctrl-C
    python -m local demo              `demo`: one multi-run from the request to the answer
    python -m local.bridge            `bridge`: let the containers of `sam local` reach the system
    python -m local.fake_codegen      `fake_codegen`: a Codegen API in memory, alone
    python -m local.soak              `soak`: put the system under load with faults, and check what everybody saw
    python -m local.openapi           `openapi`: write, check or compare the OpenAPI document of the handlers
    python -m local.command_page      `command_page`: write docs/command-line.md from the help of the command line

`stack` starts the system. Its parts stand in for what AWS and Codegen do:

    template, cloudformation          what template.yaml deploys, as plain values
    gateway, proxy, authorization     API Gateway: the REST API
    websocket                         API Gateway: the WebSocket API and its connections
    functions                         Lambda: worker processes, the Runtime API, and a client of the Invoke API
    aws                               the other services, by moto: DynamoDB, Secrets Manager, Step Functions
    request_log                       one readable line for each request
    scheduler                         EventBridge Scheduler
    fake_codegen                      the Codegen API
    demo_agents                       agents that a new system starts with
    data, journal                     the folder and the files in which a system keeps its state
    loopback                          listening on 127.0.0.1
"""
