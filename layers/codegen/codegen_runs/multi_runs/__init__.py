"""Best of N: several runs of one prompt, combined into one answer.

`parameters` has the request and `snapshots` the answers; `service` has the operations of the API; `tasks` has one
function per state of the state machine, and `waves` says which candidates it launches when; `reconciler` settles
multi-runs whose state machine died.

The rules know neither AWS nor the upstream. `judging` says which candidates are usable; `judges` and `ranking` which
of them is best; `judge_prompts` writes the prompts of the judges and `verdicts` reads their replies; `synthesis` and
`grafts` combine answers; `costs` counts the runs. `evidence` reads the facts about a run from its event log,
`similarity` and `provenance` compare texts, and `comparison` puts the candidates side by side.
"""
