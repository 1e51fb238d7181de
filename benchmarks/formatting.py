"""Time formatting against doing the least: copying images into a zip, reading and writing a CSV.

    python benchmarks/formatting.py [--images 100000] [--rows 1000000] [--columns 50] [--jobs N]
        [--gigabytes 4] [--repeats 3]

The peer of the images is `zipfile` storing the same files; that of the table `polars.read_csv` of
the same file and writing as many bytes. Peer and ours run in turn, each in a process of its own, so
that both meet the same load of the machine; the median of the pairs' ratios counts. A table of some
gigabytes is then formatted once, for its peak memory. What came of the images is checked, what came
of the large table read, each once from the zip on. Prints JSON, and writes both it and a table to
`benchmarks/results/formatting.*`.
"""

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import psutil
from PIL import Image

from autodl.bundle import find_bundle, unpack_zip
from autodl.check import check
from autodl.dataset import open_subset
from formatter.convert import convert
from formatter.source import Options

RESULTS = Path(__file__).parent / "results"
LOOK_SECONDS = 0.02  # between two looks at the memory
IMAGE_TARGET, TABLE_TARGET, MEMORY_TARGET_MB = 0.6, 0.5, 400


class Cost(NamedTuple):
    """Of one side in one run: by the clock, of the processor, and the most memory in use.

    The memory is the sum of the most that each of its processes ever had resident (``VmHWM``),
    pages that they share counted in each: no less than what was in use at any time. ``ru_maxrss``
    will not do: a process that is started begins with the peak of the one that started it.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int


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


def write_longer_csv(source: Path, path: Path, size: int) -> None:
    """The same rows again and again, up to ``size`` bytes."""
    content = source.read_bytes()
    rows = content[content.index(b"\n") + 1 :]
    with path.open("wb") as file:
        file.write(content)
        while file.tell() < size:
            file.write(rows)


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


def look(bundle: Path, how: str, jobs: int) -> None:
    """Unzip a bundle; check it, or decode every training example."""
    with tempfile.TemporaryDirectory(dir=bundle.parent) as folder:
        root = Path(folder) / "bundle"
        unpack_zip(bundle, root)
        if how == "check":
            report = check(root, jobs)
            assert report.ok, report.findings
        else:
            count = sum(1 for _ in open_subset(find_bundle(root).train))
            assert count, "no example was read"


def run_part(what: str, source: Path, out: Path, number: int) -> None:
    """One side, in a fresh process: prints its cost."""
    start, used = time.perf_counter(), _processor_seconds()
    if what == "ours":
        convert(source, out, Options(jobs=number))
    elif what in ("check", "decode"):
        look(source, what, number)
    elif what == "copy":
        copy_into_zip(source, out)
    else:
        read_and_write(source, out, number)
    print(json.dumps([time.perf_counter() - start, _processor_seconds() - used]))


def _processor_seconds() -> float:
    """Of this process and its ended children."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cost_of(what: str, source: Path, out: Path, number: int) -> Cost:
    """One side in a process of its own."""
    out.unlink(missing_ok=True)
    part = [sys.executable, __file__, "--part", what, str(source), str(out), str(number)]
    peaks: dict[int, int] = {}
    with psutil.Popen(part, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for member in (process, *process.children()):
                    peaks[member.pid] = max(peaks.get(member.pid, 0), _peak_bytes(member.pid))
            time.sleep(LOOK_SECONDS)
        printed = process.stdout.read()
    assert process.returncode == 0
    seconds, processor_seconds = json.loads(printed.splitlines()[-1])
    return Cost(seconds, processor_seconds, sum(peaks.values()))


def _peak_bytes(pid: int) -> int:
    """The most that a process had resident; 0 if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def look_once(what: str, bundle: Path, jobs: int) -> dict[str, float]:
    """The cost of ``look``."""
    cost = cost_of(what, bundle, bundle.with_suffix(".none"), jobs)
    return {
        "bytes_in": bundle.stat().st_size,
        "seconds": round(cost.seconds, 1),
        "processor_seconds": round(cost.processor_seconds, 1),
        "cores_used": round(cost.processor_seconds / cost.seconds, 2),
        "peak_rss_mb": round(cost.peak_bytes / 1e6),
    }


def compare(source: Path, out: Path, peer: str, jobs: int, repeats: int) -> dict[str, float]:
    """Ours and the peer on one source, in turn."""
    pairs: list[tuple[Cost, Cost]] = []
    for _ in range(repeats):
        ours = cost_of("ours", source, out, jobs)
        size = out.stat().st_size
        pairs.append((ours, cost_of(peer, source, out.with_suffix(".peer"), size)))
    ratios = [peer_cost.seconds / ours.seconds for ours, peer_cost in pairs]
    work = [peer_cost.processor_seconds / ours.processor_seconds for ours, peer_cost in pairs]
    best, best_peer = (min(side) for side in zip(*pairs, strict=True))
    return {
        "bytes_out": size,
        "seconds": round(best.seconds, 2),
        "peer_seconds": round(best_peer.seconds, 2),
        "processor_seconds": round(best.processor_seconds, 2),
        "peer_processor_seconds": round(best_peer.processor_seconds, 2),
        "speed_of_peer": round(statistics.median(ratios), 3),
        "work_of_peer": round(statistics.median(work), 3),
        "cores_used": round(max(o.processor_seconds / o.seconds for o, _ in pairs), 2),
        "peak_rss_mb": round(max(ours.peak_bytes for ours, _ in pairs) / 1e6),
    }


def measure(options: argparse.Namespace, scratch: Path) -> dict[str, dict[str, float]]:
    """All figures, with sources made in ``scratch``."""
    result: dict[str, dict[str, float]] = {}
    jobs, repeats = options.jobs, options.repeats
    if options.images:
        images = scratch / "images"
        write_images(images, options.images)
        result["images"] = compare(images, scratch / "i.zip", "copy", jobs, repeats)
        result["images, check"] = look_once("check", scratch / "i.zip", jobs)
        shutil.rmtree(images)
    if options.rows:
        table, huge, out = scratch / "table.csv", scratch / "huge.csv", scratch / "t.zip"
        write_csv(table, options.rows, options.columns)
        result["table"] = compare(table, out, "read", jobs, repeats)
        if options.gigabytes:
            write_longer_csv(table, huge, int(options.gigabytes * 1e9))
            cost = cost_of("ours", huge, out, jobs)
            result["large_table"] = {
                "bytes_in": huge.stat().st_size,
                "bytes_out": out.stat().st_size,
                "seconds": round(cost.seconds, 1),
                "processor_seconds": round(cost.processor_seconds, 1),
                "peak_rss_mb": round(cost.peak_bytes / 1e6),
            }
            huge.unlink()
            result["large_table, decode"] = look_once("decode", out, jobs)
    return result


def describe(result: dict[str, dict[str, float]], arguments: Sequence[str], load: float) -> str:
    """The figures for people."""
    lines = [
        "# Formatting",
        "",
        f"`{' '.join(['python benchmarks/formatting.py', *arguments])}` on {os.cpu_count()} cores,"
        f" load average {load:.1f} at the start.",
        "",
        "`speed of peer`: the peer's time by the clock over ours, median of pairs run in turn."
        " `work of peer`: the same of processor time; with all of n cores in use, and a peer on",
        "one, speed comes to n times work on an idle machine. Memory: see `Cost` in the program.",
        "",
        "| | ours (s) | peer (s) | speed of peer | work of peer | cores used | peak memory (MB) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in result.items():
        cells = [
            row.get(key, "")
            for key in (
                "seconds",
                "peer_seconds",
                "speed_of_peer",
                "work_of_peer",
                "cores_used",
                "peak_rss_mb",
            )
        ]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(map(str, cells))} |")
    lines += [
        "",
        f"Targets: images {IMAGE_TARGET:.0%} of the peer's speed, tables {TABLE_TARGET:.0%}, memory"
        f" under {MEMORY_TARGET_MB} MB.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:2] == ["--part"]:
        what, source, out, number = sys.argv[2:]
        run_part(what, Path(source), Path(out), int(number))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="formatting-") as scratch:
        result = measure(options, Path(scratch))
    text = json.dumps({**result, "load_average": round(load, 1), "cores": os.cpu_count()})
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "formatting.json").write_text(text + "\n")
    (RESULTS / "formatting.md").write_text(describe(result, sys.argv[1:], load))
    print(text)


if __name__ == "__main__":
    main()
