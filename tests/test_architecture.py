"""The house's own rules, held by tests: sizes, arrows, and what must never be loaded."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("autodl", "formatter", "service", "client", "cli", "winner_solution", "baselines")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
LIGHT = ("tensorflow", "keras", "sklearn", "lightgbm", "pandas", "torch", "cleanlab")


def sources(*rooms: str) -> list[Path]:
    return [
        path
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if not path.name.endswith("_pb2.py")
    ]


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_files_are_short() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in sources(*ROOMS, "tests", "benchmarks")
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = {
        f"{p.relative_to(ROOT)}:{f.name}": length
        for p in sources(*ROOMS)
        if p.parent.name != "versions"  # a migration is one list of tables
        for f in functions(p)
        if (length := (f.end_lineno or f.lineno) - f.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_no_error_is_swallowed() -> None:
    swallowed = [
        f"{p.relative_to(ROOT)}:{node.lineno}"
        for p in sources(*ROOMS)
        for node in ast.walk(ast.parse(p.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and all(isinstance(s, ast.Pass) for s in node.body)
    ]
    assert swallowed == []


@pytest.mark.parametrize(
    "module",
    ["autodl.run", "autodl.check", "formatter.convert", "cli.main", "service.app", "client"],
)
def test_light_modules_load_no_learning_framework(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(m for m in {LIGHT} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_service_starts_in_little_memory() -> None:
    """It computes nothing itself, and NumPy with its like is a quarter of what it would need."""
    code = (
        "import sys, service.app, service.reconciler, service.notifications.delivery\n"
        "print(*sorted({'numpy', 'polars', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_http_statuses_exist_only_in_service_errors() -> None:
    raised = [
        str(p.relative_to(ROOT))
        for p in sources("service")
        if "HTTPException(" in p.read_text(encoding="utf-8") and p.name != "errors.py"
    ]
    assert raised == []
