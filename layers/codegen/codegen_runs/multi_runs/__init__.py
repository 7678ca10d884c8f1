"""Best of N: several runs of one prompt, joined into one answer.

`requests` is what a caller sends and `snapshots` what she reads; `service` serves the API; `tasks` is what the state
machine calls, one function per state; `judging` and `synthesis` hold the rules and know neither AWS nor the upstream.
"""
