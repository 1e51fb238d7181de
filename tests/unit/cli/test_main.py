"""The command's outermost layer: exit codes, and what is said where."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from autodl.errors import BundleError, PlatformError, SolutionError, UsageError
from cli.main import app, exit_code, main
from client import AuthenticationError, QuotaError, RefusedError, ServiceError, TransientError


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (UsageError, 2),
        (RefusedError, 2),
        (BundleError, 3),
        (AuthenticationError, 4),
        (QuotaError, 5),
        (TransientError, 6),
        (SolutionError, 7),
        (PlatformError, 1),
        (ServiceError, 1),
    ],
)
def test_each_family_of_errors_has_its_exit_code(kind, code) -> None:
    assert exit_code(kind("some-code", "It went wrong.")) == code


def run_failing(error: Exception, monkeypatch, *arguments: str) -> None:
    command = typer.Typer(pretty_exceptions_enable=False)

    @command.command()
    def fail(debug: bool = False) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["autodl", *arguments])
    main(command)


def test_an_error_is_told_in_one_line_with_its_place_hint_and_code(monkeypatch, capsys) -> None:
    error = BundleError("labels-width", "Too few.", hint="Add some.", file="a.solution", line=4)
    with pytest.raises(SystemExit) as caught:
        run_failing(error, monkeypatch)
    assert caught.value.code == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "autodl: a.solution:4: Too few. Add some. [labels-width]\n"


def test_the_unexpected_is_told_without_a_traceback(monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        run_failing(ZeroDivisionError("division by zero"), monkeypatch)
    assert caught.value.code == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in err
    assert "Traceback" not in err


def test_debug_lets_it_through(monkeypatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_failing(ZeroDivisionError("division by zero"), monkeypatch, "--debug")


@pytest.mark.parametrize("arguments", [["--no-such-option"], ["no-such-verb"], ["submit"]])
def test_wrong_usage_ends_in_2(arguments) -> None:
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage:" in done.stderr


def test_help_loads_neither_the_service_nor_the_client() -> None:
    code = (
        "import sys\nfrom cli.main import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'fastapi', 'sqlalchemy', 'pydantic', 'httpx2', 'numpy', 'polars', 'PIL',\n"
        "         'rich'}\n"
        "print('heavy:', *sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_a_shell_can_complete_verbs_and_options() -> None:
    for typed, completed in (("autodl webh", "webhook"), ("autodl watch --ur", "--url")):
        environment = {
            "_AUTODL_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        }
        program = Path(sys.executable).with_name("autodl")
        done = subprocess.run(
            [program], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [completed]


def list_verbs(command: object, name: str) -> Iterator[tuple[str, list[str]]]:
    """Every verb with its options."""
    for own, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from list_verbs(child, f"{name} {own}")
        else:
            yield f"{name} {own}", [option for p in child.params for option in p.opts]


def test_every_verb_speaks_json() -> None:
    verbs = dict(list_verbs(typer.main.get_command(app), "autodl"))
    assert len(verbs) > 30
    assert [name for name, options in verbs.items() if "--json" not in options] == []
