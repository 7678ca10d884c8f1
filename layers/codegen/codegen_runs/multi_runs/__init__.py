"""Best of N: several runs of one prompt, combined into one answer.

`parameters` has the request and `snapshots` the answers; `service` has the operations of the API; `tasks` has one
function per state of the state machine; `judging` and `synthesis` hold the rules, without AWS and without the upstream;
`reconciler` settles multi-runs whose state machine died.
"""
