"""Time formatting against doing the least: copying images into a zip, reading and writing a CSV.

    python benchmarks/formatting.py [--images 20000] [--rows 200000] [--columns 50] [--jobs N]

Prints one JSON object: seconds of each by the clock and of the processor, our speed as a share of
the peer's, and our peak resident memory. Each side runs in a process of its own, in turn, three
times; the best counts.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from formatter.convert import convert
from formatter.source import Options

REPEATS = 3


def write_images(folder: Path, count: int) -> None:
    """Small noisy photographs, half of them PNG and half JPEG, of ten classes."""
    folder.mkdir()
    random = np.random.default_rng(0)
    smooth = random.integers(0, 256, (64, 8, 8, 3), dtype=np.uint8)
    lines = ["FileName,Labels"]
    for number in range(count):
        small = Image.fromarray(smooth[number % 64]).resize((48, 48), Image.Resampling.BICUBIC)
        noise = random.integers(0, 24, (48, 48, 3), dtype=np.uint8)
        name = f"{number:06d}.{'png' if number % 2 else 'jpg'}"
        Image.fromarray(np.asarray(small) // 2 + noise).save(folder / name)
        lines.append(f"{name},{number % 10}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def write_csv(path: Path, rows: int, columns: int) -> None:
    """Numbers of four decimals, one column in ten of five words, and a label."""
    random = np.random.default_rng(0)
    words = np.array(["red", "green", "blue", "white", "black"])
    frame = {
        f"x{c}": words[random.integers(0, 5, rows)] if c % 10 == 9 else random.normal(size=rows)
        for c in range(columns)
    }
    frame["label"] = np.array(["yes", "no"])[random.integers(0, 2, rows)]
    pl.DataFrame(frame).write_csv(path, float_precision=4)


def copy_into_zip(source: Path, out: Path) -> None:
    """The images' peer: every file of the folder, stored."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(source.iterdir()):
            archive.write(file, file.name)


def read_and_write(source: Path, out: Path, size: int) -> None:
    """The table's peer: polars reads the CSV; then as many bytes as ours are written."""
    pl.read_csv(source)
    block = bytes(1 << 20)
    with out.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(block[: min(len(block), size - start)])


def timed(arguments: list[str], out: Path) -> tuple[float, float, int]:
    """(seconds, processor seconds, peak resident bytes) of the best of a few runs."""
    best: tuple[float, float, int] | None = None
    for _ in range(REPEATS):
        out.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, __file__, "--part", *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        seconds, processor, peak = json.loads(done.stdout.splitlines()[-1])
        best = min(best or (seconds, processor, peak), (seconds, processor, peak))
    assert best is not None
    return best


def run_part(arguments: list[str]) -> None:
    """One side, in a fresh process: prints its seconds and peak resident memory."""
    import resource

    what, source, out, more = arguments[0], Path(arguments[1]), Path(arguments[2]), arguments[3:]
    start, used = time.perf_counter(), time.process_time()
    if what == "ours":
        convert(source, out, Options(jobs=int(more[0]) if more else None))
    elif what == "copy":
        copy_into_zip(source, out)
    else:
        read_and_write(source, out, int(more[0]))
    seconds, processor = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([seconds, processor, peak]))


def compare(source: Path, out: Path, peer: str, jobs: list[str]) -> dict[str, float]:
    """Ours beside the peer on one source."""
    seconds, processor, peak = timed(["ours", str(source), str(out), *jobs], out)
    size = out.stat().st_size
    peer_arguments = [peer, str(source), str(out), *([str(size)] if peer == "read" else [])]
    peer_seconds, peer_processor, _ = timed(peer_arguments, out)
    return {
        "bytes_out": size,
        "seconds": round(seconds, 3),
        "peer_seconds": round(peer_seconds, 3),
        "processor_seconds": round(processor, 3),
        "peer_processor_seconds": round(peer_processor, 3),
        "speed_of_peer": round(peer_seconds / seconds, 3),
        "peak_rss_mb": round(peak / 1e6, 1),
    }


def main() -> None:
    if sys.argv[1:2] == ["--part"]:
        run_part(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--jobs", type=int)
    options = parser.parse_args()
    jobs = [str(options.jobs)] if options.jobs else []
    result = {}
    scratch = Path(tempfile.mkdtemp(prefix="formatting-"))
    try:
        if options.images:
            write_images(scratch / "images", options.images)
            result["images"] = compare(scratch / "images", scratch / "i.zip", "copy", jobs)
        if options.rows:
            write_csv(scratch / "table.csv", options.rows, options.columns)
            result["table"] = compare(scratch / "table.csv", scratch / "t.zip", "read", jobs)
    finally:
        shutil.rmtree(scratch)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
