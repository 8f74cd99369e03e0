"""The forward pass beside torch's SDPA in one process, and what a launch, a cache hit and a compile cost.
`scripts/gpu.sh micro`; without a GPU a dry run on the host device that times nothing of interest."""
import argparse
import ctypes
import shutil
import tempfile
import time

import numpy as np

import lacuna
from lacuna import _abi, _tensors

import driver
import report
import timing
from backend import ERROR_BOUND, finish, open_backend

TOKENS, WIDTH = 16384, 2048  # batch * length, heads * head dimension
LENGTHS = [512 << i for i in range(7)]
HEAD_DIMS = (64, 128, 256)
STARTED = time.perf_counter()
TEXT = {True: "attention causal { mask causal }", False: "attention full { }"}


def cases(backend, quick):
    if not backend.gpu:
        return [dict(dtype=dtype, causal=causal, head_dim=64, length=128, batch=1, heads=2)
                for dtype in backend.dtypes for causal in (True, False)]
    return [dict(dtype=dtype, causal=causal, head_dim=d, length=n, batch=max(TOKENS // n, 1), heads=WIDTH // d)
            for dtype in backend.dtypes[:1 if quick else None] for causal in (True, False) for d in HEAD_DIMS
            for n in (LENGTHS[1::2] if quick else LENGTHS)]


def open_engine(backend, cache_dir="", **options):
    if backend.gpu:
        return lacuna.Engine(device="cuda", compiler="nvrtc", cache_dir=cache_dir, **options)
    return lacuna.Engine(device="host", cache_dir=cache_dir, **options)


def tensors(backend, case):
    shape = case["batch"], case["heads"], case["length"], case["head_dim"]
    return [backend.randn(shape, case["dtype"]) for _ in range(3)]


def program_of(engine, backend, case):
    return engine.program(TEXT[case["causal"]], backend.dtype(case["dtype"]), case["head_dim"])


class Reference:
    """Some rows of one head, worked out in f64."""

    def __init__(self, backend, case, qkv, rows=16):
        random = np.random.default_rng()
        self.backend, self.head = backend, (int(random.integers(case["batch"])), int(random.integers(case["heads"])))
        self.rows = sorted(int(random.integers(case["length"])) for _ in range(rows))
        q, k, v = (backend.numpy(x[self.head]) for x in qkv)
        z = q[self.rows] @ k.T * case["head_dim"] ** -0.5
        if case["causal"]:
            z[np.arange(case["length"])[None, :] > np.array(self.rows)[:, None]] = -np.inf
        p = np.exp(z - z.max(axis=1, keepdims=True))
        self.o = p / p.sum(axis=1, keepdims=True) @ v

    def error(self, o):
        """The worst row's |O - reference| / |reference|."""
        o = self.backend.numpy(o[self.head])[self.rows]
        return float((np.linalg.norm(o - self.o, axis=1) / np.linalg.norm(self.o, axis=1)).max())


def flops(case):
    n = case["length"]
    pairs = n * (n + 1) // 2 if case["causal"] else n * n
    return 4 * case["batch"] * case["heads"] * case["head_dim"] * pairs


def forward_row(backend, engine, case, problems):
    qkv = tensors(backend, case)
    program = program_of(engine, backend, case)
    functions = {"lacuna": lambda: program.forward(*qkv), **backend.peers(*qkv, case["causal"])}
    row = dict(case, plan=program.explain(), times=timing.race(backend.clock, functions))
    reference = Reference(backend, case, qkv)
    for name, times in row["times"].items():
        if "median_ms" in times:
            row[f"{name}_tflops"] = times["tflops"] = flops(case) / times["median_ms"] / 1e9
            times["error"] = reference.error(functions[name]())
        else:
            print(f"-- {case}: {name}: {times['failed']}")
    ours = row["times"]["lacuna"]
    row["error"] = ours.get("error")
    if "failed" in ours or not ours["error"] <= ERROR_BOUND[case["dtype"]]:  # nor is NaN within it
        problems.append(f"{case}: {ours}")
    for peer in ("sdpa_flash", "sdpa_cudnn"):
        theirs = row["times"].get(peer, {})
        if "median_ms" in ours and "median_ms" in theirs:
            row[f"of_{peer}"] = theirs["median_ms"] / ours["median_ms"]
    return row


def forward_table(backend, engine, options, record, problems):
    """Row by row into the record, which is written now and then: a run that is cut short leaves what it has."""
    for number, case in enumerate(cases(backend, options.quick)):
        if time.perf_counter() - STARTED > options.seconds:
            record["left_out"].append(case)
            continue
        record["forward"].append(forward_row(backend, engine, case, problems))
        if backend.gpu and number % 16 == 15:
            report.write("micro", record)


def raw_call(backend, program, qkv):
    """lacuna_forward alone, its arguments made beforehand."""
    with _tensors.Call(program.engine, like=qkv[0]) as call:
        args = _abi.sized(_abi.Args, **{name: call.place(name, x) for name, x in zip("qkv", qkv)})
        o = call.empty(tuple(qkv[0].shape), program.output)
        args.o = call.place("o", o)
        stream = call.stream
    pointer = ctypes.byref(args)
    return lambda: (_abi.check(_abi.lib.lacuna_forward(program, pointer, stream)), o)


def launch_latency(backend, engine, rounds):
    """Of a problem of one tile, with everything loaded."""
    case = dict(dtype=backend.dtypes[0], causal=True, head_dim=64, length=64, batch=1, heads=1)
    qkv = tensors(backend, case)
    program = program_of(engine, backend, case)
    program.prepare()
    raw = raw_call(backend, program, qkv)
    calls = {"python_call": lambda: program.forward(*qkv), "c_call": raw, "prepare_hit": program.prepare,
             "program_hit": lambda: program_of(engine, backend, case)}
    if backend.gpu:
        tiny = qkv[0].view(-1)[:32]
        calls["torch_add"] = lambda: tiny.add_(0)
    found = {}
    for name, call in calls.items():
        call()
        found[name] = timing.each(call, rounds, between=backend.clock.synchronize)
    for name in ("c_call", "torch_add"):
        if name in calls:
            found[name]["stream_us"] = backend.stream_us(calls[name])
    return found


def first_forward(backend, case, qkv, cache_dir):
    engine = open_engine(backend, cache_dir)
    start = time.perf_counter()
    program_of(engine, backend, case).forward(*qkv)
    backend.clock.synchronize()
    return (time.perf_counter() - start) * 1e3


def compile_latency(backend, rounds):
    """Milliseconds from a text to the first result, synchronised: with empty caches, and from the disk cache."""
    found = []
    for d in HEAD_DIMS if backend.gpu else HEAD_DIMS[:1]:
        case = dict(dtype=backend.dtypes[0], causal=True, head_dim=d, length=64, batch=1, heads=1)
        qkv, cold, disk = tensors(backend, case), [], []
        for _ in range(rounds):
            folder = tempfile.mkdtemp(prefix="lacuna-cache-")
            try:
                cold.append(first_forward(backend, case, qkv, folder))
                disk.append(first_forward(backend, case, qkv, folder))
            finally:
                shutil.rmtree(folder)
        found.append(dict(head_dim=d, dtype=case["dtype"], cold=timing.summary(cold), disk=timing.summary(disk)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one dtype and every other length")
    parser.add_argument("--seconds", type=float, default=500, help="after which no new shape is begun")
    options = parser.parse_args()
    backend = open_backend()
    try:
        nvrtc = driver.Nvrtc()
    except driver.Missing:
        nvrtc = None
    problems, engine = [], open_engine(backend)
    print(f"-- {engine}")
    record = dict(facts=report.facts(nvrtc), engine=str(engine), tokens=TOKENS, width=WIDTH,
                  forward=[], left_out=[], problems=problems)
    record["launch"] = launch_latency(backend, engine, 300 if backend.gpu else 20)
    report.show([dict(call=name, **row) for name, row in record["launch"].items()],
                ["call", "median_us", "least_us", "stream_us"])
    record["first_forward"] = compile_latency(backend, 5 if backend.gpu else 1)
    report.show([dict(head_dim=row["head_dim"], cold_ms=row["cold"]["median_ms"], disk_ms=row["disk"]["median_ms"])
                 for row in record["first_forward"]], ["head_dim", "cold_ms", "disk_ms"])
    forward_table(backend, engine, options, record, problems)
    speeds = ["lacuna_tflops", "sdpa_flash_tflops", "sdpa_cudnn_tflops", "of_sdpa_flash", "of_sdpa_cudnn"]
    report.show(record["forward"], ["dtype", "causal", "head_dim", "length", "error"] + speeds * backend.gpu)
    if record["left_out"]:
        print(f"-- {len(record['left_out'])} shapes were left out after {options.seconds:.0f} s")
    if backend.gpu:
        report.write("micro", record)
    finish(backend, problems)


if __name__ == "__main__":
    main()
