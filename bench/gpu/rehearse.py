"""The code that measures on a GPU, run without one: torch's tensors on the CPU, a stand-in for the driver that computes
what the probe's kernels should, clocks that time nothing of interest, small sizes. So that the minutes with a GPU are not
spent on a typing error. Needs torch; `scripts/gpu.sh dry` runs it where that is installed."""
import ctypes
import json
import os
import sys
import tempfile
import time
import types

import numpy as np

import driver

try:
    import torch
    from torch.overrides import TorchFunctionMode
except ImportError as missing:
    print(f"-- no rehearsal: {missing}")
    sys.exit(driver.SKIPPED)

import lacuna

import backend
import competitor
import entmax
import micro
import probe
import qk_pass
import report
import scores
import timing


class OnTheCpu(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.get("device") == "cuda":
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)


class Event:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = time.perf_counter()

    def elapsed_time(self, later):
        return (later.at - self.at) * 1e3 + 1e-3


class StandIn:
    """driver.Driver over numpy."""
    version, compiled = "0.0", {}

    def name(self):
        return "stand-in for a GPU"

    def kernel(self, image, entry, threads, shared_bytes):
        assert image[:4] == b"\x7fELF"
        variant = self.compiled[image]
        assert (threads, shared_bytes) == (variant.warps * 32, variant.shared_bytes)
        return Kernel(entry, variant)

    @classmethod
    def remember(cls, compile):
        """A cubin does not say what it was made of."""
        def compile_and_remember(variant, *arguments):
            cubin = compile(variant, *arguments)
            cls.compiled[cubin.image] = variant
            return cubin
        return compile_and_remember


def memory(address, count, dtype):
    return np.frombuffer((ctypes.c_byte * (count * np.dtype(dtype).itemsize)).from_address(address), dtype)


class Kernel:
    """What bench/probe/qk_pass.cu computes, row_max or gate_hits; `seen` is only filled."""

    def __init__(self, entry, variant):
        self.entry, self.variant = entry, variant

    def launch(self, blocks, params, stream):
        assert isinstance(params, qk_pass.Params) and isinstance(stream, int)
        rows, d = params.rows, self.variant.head_dim
        heads = blocks * self.variant.tile_q // rows
        q, k = ((memory(address, heads * rows * d, np.uint16).astype(np.uint32) << 16).view(np.float32)
                .reshape(heads, rows, d) for address in (params.q, params.k))
        x = np.einsum("hqd,hkd->hqk", q, k)
        if params.causal:
            x = np.where(np.tri(rows, dtype=bool), x, np.float32(-1e30))
        if self.entry == "row_max":
            memory(params.top, heads * rows, np.float32)[:] = x.max(axis=2).ravel()
            return
        gate = memory(params.gate, heads * rows, np.float32).reshape(heads, rows, 1)
        memory(params.hits, heads * rows, np.int32)[:] = (x >= gate).sum(axis=2).ravel()
        memory(params.seen, blocks * self.variant.warps * 2, np.int32)[:] = 1


def stand_in_for_cuda():
    properties = types.SimpleNamespace(name=StandIn().name(), multi_processor_count=1, L2_cache_size=1, major=9, minor=0)
    stream = types.SimpleNamespace(cuda_stream=0)
    for name, value in dict(Event=Event, synchronize=lambda: None, is_available=lambda: True, _sleep=lambda cycles: None,
                            get_device_capability=lambda: (9, 0), get_device_properties=lambda index: properties,
                            current_stream=lambda device=None: stream).items():
        setattr(torch.cuda, name, value)
    torch.backends.cudnn.version = lambda: 0
    driver.Driver = StandIn
    engine = lacuna.Engine
    lacuna.Engine = lambda device, compiler=None, **options: engine(device="host", **options)
    race = timing.race
    timing.race = lambda clock, functions, seconds=0: race(clock, functions, seconds=0)
    timing.FLUSH_BYTES = 1 << 16
    micro.TOKENS, micro.WIDTH, micro.LENGTHS = 256, 256, [64, 128]
    probe.TOKENS, probe.WIDTH, probe.LENGTHS = 256, 256, (256,)
    qk_pass.variants, all_variants = lambda head_dim: all_variants(head_dim)[:2], qk_pass.variants
    qk_pass.Variant.compile = StandIn.remember(qk_pass.Variant.compile)
    entmax.TOKENS, entmax.WIDTH, entmax.LENGTHS, entmax.TELLING = 128, 256, [64, 128], [128, 64]
    entmax.DECODE_KEYS, entmax.GROUP, entmax.STREAM_CALLS = (300,), 2, 2
    entmax.GOALS = [(peer, range(1 << 30), least) for peer, _, least in entmax.GOALS]
    competitor.Warming, competitor.load, competitor.tune_shortly = Warm, lambda: (adasplash, None), lambda: None
    competitor.kernel_times = lambda torch, call, rounds=5: {"all": timing.HostClock().measure([call], rounds)[0][0]}


def adasplash(q, k, v):
    """What AdaSplash computes, in f32: its own kernels need configurations that the interpreter does not choose."""
    x = (q.float() @ k.float().mT * (q.shape[3] ** -0.5 / 2)).masked_fill(~torch.ones(2 * q.shape[2:3]).tril().bool(), -1e30)
    low = x.amax(dim=3, keepdim=True) - 1
    high = low + 1
    for _ in range(40):
        middle = (low + high) / 2
        above = (x - middle).clamp(min=0).square().sum(dim=3, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return ((x - low).clamp(min=0).square() @ v.float()).to(v.dtype)


class Warm:
    """competitor.Warming, of which the last size does not come out."""

    def __init__(self, sizes):
        self.sizes = list(sizes)

    def busy(self):
        return True

    def finish(self, seconds):
        return {self.sizes.pop(): "rehearsed to fail"} if self.sizes else {}


def rehearse(module, *arguments):
    sys.argv = [module.__name__, *arguments]
    try:
        module.main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"!! the rehearsal of {module.__name__} ends with {ended.code}")


def check_thresholds():
    """What the probe takes for the threshold, against bisection in f64."""
    for make in probe.DISTRIBUTIONS.values():
        q, k = make(torch, 2, 200, 64, "cuda")
        c = 0.5 * 64 ** -0.5
        x = np.where(np.tri(200, dtype=bool), (q.double() @ k.double().transpose(1, 2)).numpy(), -np.inf)
        high = x.max(axis=2)
        low = high - 1 / c
        for _ in range(60):
            middle = (low + high) / 2
            above = (np.square(np.maximum(c * (x - middle[..., None]), 0)).sum(axis=2)) > 1
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        top, threshold, support = scores.thresholds(torch, q, k, True)
        error = np.abs(threshold.numpy() - low).max() * c
        print(f"-- thresholds of {make.__name__} scores: error {error:.1e}, {support.mean().item():.1f} keys above")
        if not error < 1e-4 or np.abs(top.numpy() - x.max(axis=2)).max() > 1e-3:
            sys.exit("!! they are wrong")


def check_entmax(folder):
    """That nothing is missing in what was written: every case, beside every peer that takes it."""
    name, = (name for name in os.listdir(folder) if name.endswith("-entmax.json"))
    with open(os.path.join(folder, name)) as file:
        record = json.load(file)
    rows = record["forward"]
    causal, few = ([row for row in rows if (row["queries"] == 1) == decode] for decode in (False, True))
    beside = [row for row in causal if "of_adasplash" in row]
    wrong = [row for row in beside if not row["times"]["adasplash"]["error"] < backend.ERROR_BOUND[row["dtype"]]]
    asked = sum(entmax.has_peer(row) for row in rows)
    lost = sum(entmax.size_of(row) == tuple(record["adasplash_missing"][0]["size"]) for row in rows if entmax.has_peer(row))
    print(f"-- entmax: {len(causal)} cases of many queries, {len(beside)} of them beside adasplash, {len(few)} of one query")
    if (record["left_out"] or record["problems"] or not few or not lost or len(beside) != asked - lost or wrong
            or not all("of_sdpa_flash" in row and "stream_us" in row for row in rows)
            or not all(row["sparsity"] for row in causal) or len(record["goals"]) != 2):
        sys.exit(f"!! something is missing: {json.dumps(record, indent=1)}")


def main():
    stand_in_for_cuda()
    with tempfile.TemporaryDirectory() as folder, OnTheCpu(), torch.no_grad():
        os.environ["OUT"] = folder
        check_thresholds()
        rehearse(micro, "--quick")
        rehearse(probe)
        rehearse(entmax)
        check_entmax(folder)
        written = sorted(os.listdir(folder))
    print(f"-- it would leave {', '.join(written)}")
    if len(written) != 3 or not report.clocks():
        sys.exit("!! a file is missing")
    sys.exit(driver.SKIPPED)


if __name__ == "__main__":
    main()
