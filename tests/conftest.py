"""Fixtures that every level of tests shares."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autodl.metadata import DataSpecification, Format, MatrixSpec, write_metadata
from autodl.records import Example, RecordWriter, encode_example
from tests import slurm
from tests.postgresql import Cluster
from tests.s3 import Server

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of our own."""
    parser.addoption(
        "--postgresql",
        action="store_true",
        help="run on PostgreSQL also what names no database, each test on an empty one",
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden and practice data; tests that need it skip, saying so, without it."""
    folder = Path(os.environ.get("AUTODL_SHARED", ROOT.parent / "shared"))  # noqa: TID251 tests read it here only
    if not (folder / "golden").is_dir():
        pytest.skip(f"no golden data at {folder}: set AUTODL_SHARED")
    return folder


@pytest.fixture(scope="session")
def guests() -> Path:
    """The folder of small solutions, well-behaved and not."""
    return ROOT / "tests/guests"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A running PostgreSQL server."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's own are too long for a socket
    folder.chmod(0o711)
    cluster = Cluster(folder)
    cluster.start()
    yield cluster
    cluster.kill()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def default_database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``Settings`` take where a test does not say: SQLite, or see ``--postgresql``."""
    if request.config.getoption("--postgresql"):
        cluster: Cluster = request.getfixturevalue("postgresql")
        monkeypatch.setenv("AUTODL_DATABASE_URL", cluster.create())


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """For ``Settings``: empty for a file in the data directory, or an empty PostgreSQL database."""
    if request.param == "sqlite":
        return ""
    cluster: Cluster = request.getfixturevalue("postgresql")
    return cluster.create()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running S3 server."""
    server = Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[slurm.Cluster]:
    """A running Slurm cluster of one node."""
    if missing := slurm.Cluster.find_missing():
        pytest.skip(f"no {missing[0]} here: apt-get install slurmctld slurmd slurm-client")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = slurm.Cluster(folder)
    cluster.start()
    yield cluster
    cluster.stop()
    shutil.rmtree(folder)


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    """A dataset `toy` of 40 + 20 + 5 rows, 4 columns, 3 classes that a linear model can tell."""
    random = np.random.default_rng(0)
    root = tmp_path / "toy"
    labels = {}
    for subset, count in (("train", 40), ("test", 20), ("unlabelled", 5)):
        folder = root / "toy.data" / subset
        folder.mkdir(parents=True)
        spec = DataSpecification(
            matrix_spec=(MatrixSpec(row_count=1, col_count=4, format=Format.DENSE),),
            output_dim=3,
            sample_count=count,
        )
        write_metadata(spec, folder / "metadata.textproto")
        labels[subset] = random.permutation(np.arange(count) % 3)
        with RecordWriter(folder / f"sample-toy-{subset}.tfrecord") as writer:
            for label in labels[subset]:
                known = [label] if subset == "train" else []
                values = np.float32(np.eye(4)[label] + random.normal(0, 0.3, 4))
                writer.write(
                    encode_example(
                        Example(
                            label_index=np.array(known, np.int64),
                            label_score=np.ones(len(known), np.float32),
                            dense=[values.astype(np.float32)],
                        )
                    )
                )
    rows = np.eye(3, dtype=int)[labels["test"]]
    text = "".join(" ".join(map(str, row)) + "\n" for row in rows.tolist())
    (root / "toy.solution").write_text(text, encoding="utf-8")
    (root / "metadata").touch()
    return root
