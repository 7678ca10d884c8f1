"""How long checkpoints and forks are stored."""

from typing import Any

from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import Checkpoint, CheckpointAction, Checkpoints, Fork, Reason
from codegen_runs.storage.runs import RunsTable, Watch
from codegen_runs.storage.table import Table
from local.template import Template

DAY = 86_400
AT = 1_750_000_000


def items(deployed: Template, pk: str, sk: str) -> dict[str, Any]:
    found = Table(deployed.tables["RunsTable"].name).get({"pk": pk, "sk": sk})
    assert found
    return found


def test_a_checkpoint_expires_after_its_own_retention_and_not_with_the_events(deployed: Template) -> None:
    runs = RunsTable(deployed.tables["RunsTable"].name, retention=DAY, checkpoint_retention=3 * DAY)
    moment = {"org_id": 1, "created_at": AT * 1000}
    watch = Watch(key="7", agent_run_id=7, status=Status.RUNNING, updated_at=0, deadline_at=0, **moment)
    runs.add(watch)
    place = {"run": "7", "agent_run_id": 7, "epoch": 0, "seq": 1, "turn": 1}
    made = Checkpoint(reason=Reason.MANUAL, status=Status.RUNNING, **place, **moment).sealed()
    runs.write(watch, [], checkpoints=[made])

    assert items(deployed, "run#1#7", "checkpoint#0000#0000000001")["expires_at"] == AT + 3 * DAY
    assert Checkpoints(deployed.tables["RunsTable"].name).get(1, "7", 0, 1) == made


def test_a_fork_expires_as_its_checkpoint_does(deployed: Template) -> None:
    checkpoints = Checkpoints(deployed.tables["RunsTable"].name, retention=3 * DAY)
    fork = Fork(org_id=1, id="f-1", action=CheckpointAction.FORK, run="7", agent_run_id=7, epoch=0, seq=1, turn=1,
                hash="h", created_at=AT * 1000, created_by="user:1")  # fmt: skip
    checkpoints.add_fork(fork)
    checkpoints.settle_fork(fork, "8")

    assert items(deployed, "forks#1#7", "0000#0000000001#f-1")["expires_at"] == AT + 3 * DAY
    assert items(deployed, "origin#1#8", "origin")["expires_at"] == AT + 3 * DAY
