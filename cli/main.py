"""The one command ``autodl``: its verbs, and the only place where errors become exit codes.

Each module of this room registers its verbs here and imports what they need when they run, so that
``autodl --help`` stays quick. Data goes to stdout, talk to stderr.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from autodl.errors import AutoDLError
from cli import (
    admin,
    data,
    doctor,
    login,
    predict,
    remote,
    run,
    serve,
    solution,
    submit,
    webhook,
)
from cli import format as formatting

# By the name of an error's class, nearest first, so that no error's module need be loaded to ask.
EXIT_CODES = {
    "AuthenticationError": 4,
    "QuotaError": 5,
    "TransientError": 6,
    "UsageError": 2,
    "BundleError": 3,
    "SolutionError": 7,
    "AutoDLError": 1,
}

app = typer.Typer(
    name="autodl",
    help="Turn a labelled dataset into a learning curve, a score and predictions.",
    epilog=(
        "Exit codes: 0 good, 1 failed, 2 usage, 3 invalid data, 4 authentication, 5 quota, "
        "6 try again later, 7 the run failed, 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: Rich's takes as long to load as all the rest
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(importlib.metadata.version("autodl-self-service"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error was raised.")] = False,
) -> None:
    # `main` looks for --debug itself, because a failure leaves no context behind.
    return


_LOCAL = (formatting, data, run, predict, solution)
_REMOTE = (serve, login, submit, remote, webhook, doctor, admin)
for module in _LOCAL + _REMOTE:
    module.register(app)


def exit_code(error: AutoDLError) -> int:
    """The exit code of an error: that of the nearest of its families."""
    return next(EXIT_CODES[c.__name__] for c in type(error).__mro__ if c.__name__ in EXIT_CODES)


def main(command: typer.Typer = app) -> None:
    """Run ``autodl``; an error is told in words and ends in its exit code."""
    try:
        command()
    except AutoDLError as error:
        if "--debug" in sys.argv:
            raise
        sys.stderr.write(f"autodl: {error} [{error.code}]\n")
        sys.exit(exit_code(error))
    except Exception as error:  # the outermost frame: no traceback reaches a user
        if "--debug" in sys.argv:
            raise
        sys.stderr.write(
            f"autodl: this should not have happened: {type(error).__name__}: {error}\n"
            "Please report it with what `autodl --debug ...` prints.\n"
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
