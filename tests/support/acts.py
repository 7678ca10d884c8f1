"""The handlers that change something and are not recorded in the audit trail, and why."""

_TOLD = "The run, the multi-run or the session records who started or continued it."
_OWN = "It changes only what the caller alone sees."
_NOTHING = "It changes nothing that lasts."
_UNKNOWN = "Codegen alone knows what the request does, and some come by the hundred."

NOT_RECORDED = {
    "agent_runs/create.py": _TOLD,
    "chat/send.py": _TOLD,
    "console/render.py": _NOTHING,
    "doorbell/ring.py": "Codegen calls it, and it only has a run read.",
    "live/create_ticket.py": _NOTHING,
    "multi_runs/create.py": _TOLD,
    "multi_runs/estimate.py": _NOTHING,
    "passthrough/pass_on.py": _UNKNOWN,
    "run_cards/create.py": _TOLD,
    "sandboxes/analyze_logs.py": _TOLD,
    "setup_commands/generate.py": _TOLD,
    "starred_runs/star.py": _OWN,
    "starred_runs/unstar.py": _OWN,
    "webhooks/test.py": _NOTHING,
}
