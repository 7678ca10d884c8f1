"""The modules under functions/, loaded by their path, because several of them have the same name."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from tests.support.events import Handler

FUNCTIONS = Path(__file__).parents[2] / "functions"


@cache
def load(name: str) -> ModuleType:
    """Import one handler module, named as in the template: its folder and the module, `agent_runs/create`."""
    module_name = "functions_" + name.replace("/", "_")
    spec = importlib.util.spec_from_file_location(module_name, FUNCTIONS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def handler(name: str) -> Handler:
    """Return the Lambda handler of one module."""
    found: Handler = load(name).handler
    return found
