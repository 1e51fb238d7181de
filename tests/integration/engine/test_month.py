"""A small month through the real loop and database: all end, once, in fair turns."""

import pytest

from benchmarks.month import parse, simulate

SIZES = {"sqlite": "240", "postgresql": "40"}
BUSY = ["--users", "6", "--days", "0.5", "--nodes", "1", "--poll", "240"]


@pytest.mark.parametrize("database_url", SIZES, indirect=True)
def test_a_small_month_loses_nothing_and_is_fair(tmp_path, database_url) -> None:
    size = SIZES["postgresql" if database_url else "sqlite"]
    options = parse(["--submissions", size, *BUSY, "--database", database_url])
    result = simulate(options, tmp_path)
    assert result["lost"] == result["doubled"] == 0
    assert sum(result["states"].values()) == int(size)
    if not database_url:
        assert result["faults"]["rounds without the cluster"] > 0
        assert result["fairness"]["windows"] > 0
        assert result["fairness"]["jain_mean"] >= 0.9  # few runs in a window: the month has more
