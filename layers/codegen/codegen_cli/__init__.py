"""The command line `codegen-runs`: `pip install codegen-api[cli]`. The client does not import it."""

import sys


def main() -> None:
    """Run the command line. Without the packages of the extra `cli`, exit with the command that installs them."""
    try:
        from .commands import commands
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.exit("codegen-runs needs click and rich. Install them with: pip install 'codegen-api[cli]'")
    commands()


__all__ = ["main"]
