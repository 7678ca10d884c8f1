"""The command line `codegen-runs`: `pip install codegen-api[cli]`. The client does not import it."""

import sys


def main() -> None:
    """Run the command line; say what is missing where the extra was not installed."""
    try:
        from .commands import commands
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("click", "rich"):
            raise
        sys.exit("codegen-runs needs its extra: pip install 'codegen-api[cli]'")
    commands()


__all__ = ["main"]
