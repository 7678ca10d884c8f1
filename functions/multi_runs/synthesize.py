"""Task `Synthesize` of the multi-run state machine: queue the synthesis run and store its task token."""

from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import tasks
from codegen_runs.multi_runs.task_inputs import SynthesizeInput

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> None:
    """Handle the state's input."""
    tasks.synthesize(**SynthesizeInput.read(event), backend=backend)
