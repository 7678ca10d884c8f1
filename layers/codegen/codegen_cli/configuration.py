"""Changing the configuration file `~/.codegen/config.json`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import click


def path() -> Path:
    """Return the path of the file. Raises `click.ClickException` if the user has no home directory."""
    from codegen_api import _config_file

    file = _config_file.path()
    if file is None:
        raise click.ClickException("There is no home directory for the configuration file. Set HOME.")
    return file


def change(changes: Mapping[str, Any]) -> Path:
    """Set keys of the file, and remove those whose value is None. Keys of other programs stay.

    The file is replaced in one step, and only its owner can read it at any time. Raises `click.ClickException`.
    """
    file = path()
    kept = _read(file)
    config = {**kept, **changes}
    text = json.dumps({name: value for name, value in config.items() if value is not None}, indent=2) + "\n"
    try:
        target = file.resolve()  # a link, such as one to a folder of dotfiles, stays
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A temporary file is readable for its owner alone.
        with NamedTemporaryFile("w", encoding="utf-8", dir=target.parent, prefix=".config-", delete=False) as written:
            try:
                written.write(text)
                written.flush()
                os.fsync(written.fileno())
                written.close()
                Path(written.name).replace(target)
            except BaseException:
                Path(written.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise click.ClickException(f"Cannot write {file}: {error.strerror}") from None
    return file


def _read(file: Path) -> dict[str, Any]:
    from codegen_api._text import decode

    try:
        text = decode(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(f"Cannot read {file}. Repair or delete it first.") from None
    if not text.strip():
        return {}
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise click.ClickException(f"{file} is not a JSON object. Repair or delete it first.")
    return config
