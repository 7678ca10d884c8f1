"""Best of N: several runs of one prompt, combined into one answer.

`parameters` has the request and `snapshots` the answers; `service` has the operations of the API; `tasks` has one
function per state of the state machine, and `waves` which candidates it launches when; `judging` and `synthesis` hold
the rules, without AWS and without the upstream;
`evidence` reads the facts about a run from its event log, `similarity` and `provenance` compare texts, and `comparison`
puts the candidates side by side;
`reconciler` settles multi-runs whose state machine died.
"""
