"""What was used over time is kept in few numbers, however long it took."""

import json
import sys
import time
from types import SimpleNamespace

from autodl.meter import MAX_SAMPLES, Meter, Sample, Usage, open_gpu
from autodl.processes import ProcessTree
from autodl.verdict import Limits


def test_samples_thin_out_and_keep_their_order() -> None:
    usage = Usage()
    for second in range(5000):
        if usage.is_due(second):
            usage.add(Sample(second, 1, second / 2, 1, 0, 0))
    told = usage.to_json(3.0)
    assert told["interval_seconds"] == 16
    assert MAX_SAMPLES / 2 <= len(told["seconds"]) <= MAX_SAMPLES
    assert told["seconds"] == sorted(set(told["seconds"]))
    assert (told["seconds"][0], told["budget_from_seconds"]) == (0, 3.0)
    assert {len(told[name]) for name in Sample._fields} == {len(told["seconds"])}
    assert json.dumps(told)


def test_nothing_measured_is_empty_lists() -> None:
    assert Usage().to_json(0.0)["memory_bytes"] == []


def test_a_working_process_is_seen_to_work(tmp_path) -> None:
    tree = ProcessTree()
    code = "open('f', 'wb').write(bytes(1 << 20))\nwhile True: pass"
    tree.start([sys.executable, "-c", code], {}, tmp_path).close()
    meter = Meter(tree, tmp_path, Limits(), None)
    meter.start()
    deadline = time.monotonic() + 30
    while not meter.usage.samples or meter.usage.samples[-1].cpu_seconds < 0.2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    meter.stop()
    tree.end(0.0)
    meter.join()
    last = meter.usage.samples[-1]
    assert last.processes == 1
    assert last.memory_bytes > 1 << 20
    assert meter.disk_bytes >= 1 << 20
    assert (meter.breach, last.gpu_memory_bytes) == (None, None)


def test_a_gpu_is_asked_by_index_or_uuid(monkeypatch) -> None:
    class NvmlError(Exception):
        """As NVML's own."""

    def find(name: object) -> object:
        if name == 7:
            raise NvmlError
        return name

    def tell_load(handle: object) -> object:
        if handle == "MIG-1":
            raise NvmlError
        return SimpleNamespace(gpu=50)

    library = SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=find,
        nvmlDeviceGetHandleByUUID=find,
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(used=5),
        nvmlDeviceGetUtilizationRates=tell_load,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    assert open_gpu("0")() == (5, 0.5)
    assert open_gpu("MIG-1")() == (5, None)
    assert open_gpu("7")() == (None, None)
    assert open_gpu(None)() == (None, None)
