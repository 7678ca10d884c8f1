"""`codegen-runs completion`: scripts that complete commands in a shell."""

from __future__ import annotations

import click

from ..options import Command


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print a script for completion in a shell.

    \b
    bash:  eval "$(codegen-runs completion bash)"                # in ~/.bashrc
    zsh:   eval "$(codegen-runs completion zsh)"                 # in ~/.zshrc
    fish:  codegen-runs completion fish | source                 # in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(context.find_root().command, {}, "codegen-runs", "_CODEGEN_RUNS_COMPLETE").source())
