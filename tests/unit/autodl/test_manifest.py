"""What a manifest says of the parts of a run, and that it says nothing of people and places."""

import json
from pathlib import Path

from autodl.bundle import sha256_file
from autodl.manifest import describe_machine, describe_solution, describe_weights, digest_lines


def test_a_solution_is_named_by_its_files_and_not_by_what_python_leaves(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("class Model: pass\n")
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets/a.py").write_text("A = 1\n")
    described = describe_solution(tmp_path)
    files = {name: sha256_file(tmp_path / name) for name in ("model.py", "nets/a.py")}
    assert described["sha256"] == digest_lines(files)
    assert (described["frozen"], described["weights"], described["version"]) == (None, None, None)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/model.pyc").write_bytes(b"x")
    assert describe_solution(tmp_path) == described
    (tmp_path / "MANIFEST").write_text("frozen\n")
    assert describe_solution(tmp_path)["frozen"] == sha256_file(tmp_path / "MANIFEST")
    (tmp_path / "VERSION").write_text("2.1.0\n")
    assert describe_solution(tmp_path)["version"] == "2.1.0"


def test_a_list_of_digests_is_what_sha256sum_prints(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("11  a\n22  b\n")
    assert digest_lines({"b": "22", "a": "11"}) == sha256_file(tmp_path / "list")


def test_weights_are_those_of_the_packages_of_a_folder_or_none(tmp_path: Path) -> None:
    assert describe_weights(None) == {"source": "packages", "sha256": None}
    assert describe_weights("none") == {"source": "none", "sha256": None}
    (tmp_path / "weights.json").write_text("[]")
    known = {"source": "folder", "sha256": sha256_file(tmp_path / "weights.json")}
    assert describe_weights(str(tmp_path)) == known


def test_a_machine_has_cores_and_memory_and_no_name() -> None:
    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["memory_bytes"] > 1024**3
    assert json.loads(json.dumps(machine)) == machine
