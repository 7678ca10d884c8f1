"""The command line `codegen-runs`: `pip install codegen-api[cli]`. The client does not import it."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line. Without the packages of the extra `cli`, exit with the command that installs them."""
    if not (find_spec("click") and find_spec("rich")):
        sys.exit("codegen-runs needs click and rich. Install them with: pip install 'codegen-api[cli]'")
    from .root import commands

    commands(prog_name="codegen-runs")


__all__ = ["main"]
