"""Fuzz one reader, guided by coverage: ``python -m tests.hostile.fuzz TARGET --seconds 300``.

Needs the dependency group ``fuzz``. What is found is written to ``crash-*`` in the folder of
``--out``; mended, it goes to ``tests/hostile/seeds/TARGET/`` and is a test from then on.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]  # only where the group is installed

with atheris.instrument_imports(include=["autodl", "formatter"]):
    from tests.hostile.fuzz_targets import TARGETS

SEEDS = Path(__file__).parent / "seeds"
MAX_INPUT_BYTES = 8192
INPUT_SECONDS = 30  # of the clock, on a machine that may be loaded; what hangs, hangs longer
MEMORY_MEGABYTES = 1500


def main() -> None:
    """Run libFuzzer on one target until the time is over or something is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("scratch/fuzz"))
    asked = parser.parse_args()
    target = TARGETS[asked.target]
    corpus = asked.out / asked.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    for kept in sorted((SEEDS / asked.target).glob("*")):
        shutil.copy(kept, corpus)

    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:

        def feed(data: bytes) -> None:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                target.feed(data, Path(folder))

        options = {
            "max_total_time": asked.seconds,
            "max_len": MAX_INPUT_BYTES,
            "timeout": INPUT_SECONDS,
            "rss_limit_mb": MEMORY_MEGABYTES,
            "artifact_prefix": f"{asked.out}/{asked.target}-",
            "print_final_stats": 1,
        }
        words = [f"-{name}={value}" for name, value in options.items()]
        atheris.Setup([sys.argv[0], *words, str(corpus)], feed)
        with contextlib.suppress(SystemExit):
            atheris.Fuzz()


if __name__ == "__main__":
    main()
