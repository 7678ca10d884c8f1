"""The Lambda service of the local stack: the functions of the template, in real processes.

`pool` starts and ends worker processes, `worker` is one process and the Runtime API that feeds it, `runtime` is the
program that runs in it, `forking` forks it from a process that has the packages of the layer imported (`fork_server`),
and `client` calls functions over the Lambda Invoke API, which `local.aws` serves.
"""
