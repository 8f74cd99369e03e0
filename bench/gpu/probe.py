"""What a dense QK pass costs that only takes the row maximum, or only compares with a gate and votes (bench/probe), beside
AdaSplash's launches, torch's SDPA and this library's softmax forward. `scripts/gpu.sh probe`; without a GPU a dry run:
the kernels are compiled for sm_80 and sm_90 and must not spill."""
import argparse
import ast
import itertools
import os
import pathlib
import sys

import competitor
import driver
import qk_pass
import report
import scores
import timing
from backend import Torch, finish

HEAD_DIMS, LENGTHS, TOKENS, WIDTH = (64, 128), (8192, 32768), 16384, 2048
DISTRIBUTIONS = {"iid": scores.iid, "local": scores.local}
TEXT = "attention causal { mask causal }"
CHECKED_HEADS, NEAR = 2, 2e-3  # dot products this near to a gate may fall on either side of it


def check_carried(problems):
    """That the carried AdaSplash has what is called and timed here."""
    path = pathlib.Path(os.environ.get("LACUNA_GPU_DIR", report.ROOT / "build-gpu")) / "python/adasplash/adasplash_v2.py"
    if not path.exists():
        return print("-- AdaSplash is not carried")
    names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    missing = {"_get_tau", "_get_tau_v2", "_get_tau_v3", "_get_output", "sparse_attn"} - names
    if missing:
        problems.append(f"the carried AdaSplash has no {', '.join(sorted(missing))}")


def dry(nvrtc, problems):
    check_carried(problems)
    rows = []
    for head_dim, arch in itertools.product(HEAD_DIMS, ("sm_80", "sm_90")):
        for variant in qk_pass.variants(head_dim):
            cubin = variant.compile(nvrtc, arch)
            for entry in qk_pass.ENTRIES:
                found = cubin.resources[entry]
                rows.append(dict(kernel=entry, head_dim=head_dim, variant=variant.name, arch=arch,
                                 shared_bytes=variant.shared_bytes, compile_ms=cubin.milliseconds, **found))
                if found["spill_bytes"]:
                    problems.append(f"{rows[-1]}: it spills")
    report.show(rows, ["kernel", "head_dim", "variant", "arch", "registers", "spill_bytes", "shared_bytes", "compile_ms"])


def check(torch, bound, gate, tops, row, problems):
    """The two passes against torch, on the first heads."""
    part = slice(0, CHECKED_HEADS)
    bound.row_max()
    bound.gate_hits(gate)
    torch.cuda.synchronize()
    worst = (bound.top[part] - tops[part]).abs().max().item()
    hits = bound.hits[part].float()
    fewest, most = (scores.counts(torch, bound.q[part], bound.k[part], gate[part] + side, bound.causal)
                    for side in (NEAR, -NEAR))
    outside = ((hits < fewest) | (hits > most)).sum().item()
    unwritten = (bound.hits < 0).sum().item() + bound.top.isnan().sum().item() + (bound.seen < 0).sum().item()
    row["checked"] = dict(top_error=worst, rows_outside=outside, unwritten=unwritten, hits=hits.mean().item())
    if not worst <= NEAR or outside or unwritten:
        problems.append(f"{row['variant']} {row['distribution']} D={row['head_dim']} N={row['length']}: {row['checked']}")


def measure(torch, gpu, passes, size, problems):
    """All rows of one size: every distribution, pass, variant and competitor."""
    head_dim, length = size
    batch, heads = max(TOKENS // length, 1), WIDTH // head_dim
    all_heads, found = batch * heads, []
    dots = all_heads * head_dim * length * (length + 1)  # flops of one causal QK product
    forward, why = competitor.load()
    import lacuna
    program = lacuna.Engine(device="cuda", cache_dir="").program(TEXT, torch.bfloat16, head_dim)
    for name, make in DISTRIBUTIONS.items():
        q, k = make(torch, all_heads, length, head_dim, "cuda")
        tops, threshold, support = scores.thresholds(torch, q, k, True)
        c = 0.5 * head_dim ** -0.5
        gates = {"none": torch.full_like(tops, 1e30), "threshold": threshold - 2.0**-12 / c, "top_minus_1": tops - 1 / c}
        base = dict(distribution=name, head_dim=head_dim, length=length, heads=all_heads,
                    support=support.mean().item())
        functions, rows = {}, {}
        for one in passes:
            bound = one.bind(torch, q, k, True)
            label = one.variant.name
            rows[f"row_max {label}"] = dict(base, kernel="row_max", variant=label)
            functions[f"row_max {label}"] = bound.row_max
            check(torch, bound, gates["threshold"], tops, rows[f"row_max {label}"], problems)
            for gate_name, gate in gates.items():
                key = f"gate_hits {label} {gate_name}"
                functions[key] = lambda bound=bound, gate=gate: bound.gate_hits(gate)
                functions[key]()
                rows[key] = dict(base, kernel="gate_hits", variant=label, gate=gate_name, hit=bound.hit_rates())
        q4, k4 = (x.view(batch, heads, length, head_dim) for x in (q, k))
        v4 = torch.randn_like(q4)
        functions.update(Torch(torch, gpu=True).peers(q4, k4, v4, True))
        functions["lacuna_softmax"] = lambda: program.forward(q4, k4, v4)
        if forward:
            functions["adasplash"] = lambda: forward(q4, k4, v4)
        with torch.no_grad():
            times = timing.race(gpu, functions, seconds=4)
            ran = "median_ms" in times.get("adasplash", {})
            profiled = competitor.kernel_times(torch, functions["adasplash"]) if ran else {}
        for key, time in times.items():
            row = rows.get(key, dict(base, kernel=key)) | time
            if "median_ms" in time:
                row["qk_tflops"] = dots / time["median_ms"] / 1e9
            found.append(row)
        found += [dict(base, kernel=f"adasplash {key}", median_ms=ms, qk_tflops=dots / ms / 1e9)
                  for key, ms in profiled.items()]
        if not profiled:
            print(f"-- no times of adasplash: {why or times['adasplash'].get('failed')}")
        report.show([dict(row, fragments=row.get("hit", {}).get("fragments")) for row in found if row["distribution"] == name],
                    ["distribution", "head_dim", "length", "kernel", "variant", "gate", "median_ms", "qk_tflops", "fragments"])
    return found


def on_gpu(nvrtc, found, sizes, problems):
    import torch
    # Nothing is measured before every size is warm.
    warming = competitor.Warming([("bfloat16", WIDTH // head_dim, length, head_dim) for head_dim, length in sizes])
    gpu = timing.GpuClock(torch)
    capability = torch.cuda.get_device_capability()
    arch = "sm_{}{}".format(*capability)
    record = dict(facts=report.facts(nvrtc), arch=arch, rows=[], compiled=[])
    for size in sizes:
        passes = []
        for variant in qk_pass.variants(size[0]):
            passes.append(qk_pass.Passes(found, nvrtc, arch, variant))
            record["compiled"].append(dict(head_dim=size[0], variant=variant.name, ms=passes[-1].cubin.milliseconds,
                                           **passes[-1].cubin.resources))
        for other, errors in warming.finish(240).items():
            print(f"-- adasplash at {other}: {errors}")
        record["rows"] += measure(torch, gpu, passes, size, problems)
        record["problems"] = problems
        report.write("probe", record)  # after every size: a run that is cut short leaves what it has
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--head-dim", type=int, nargs="+", default=HEAD_DIMS)
    parser.add_argument("--length", type=int, nargs="+", default=LENGTHS)
    options = parser.parse_args()
    problems = []
    try:
        nvrtc = driver.Nvrtc()
    except driver.Missing as missing:
        print(f"-- nothing is compiled: {missing}")
        sys.exit(driver.SKIPPED)
    try:
        found = driver.Driver()
        import torch  # noqa: F401
    except (driver.Missing, ImportError) as missing:
        print(f"-- dry run: {missing}")
        dry(nvrtc, problems)
        return finish(argparse.Namespace(gpu=False), problems)
    on_gpu(nvrtc, found, list(itertools.product(options.head_dim, options.length)), problems)
    finish(argparse.Namespace(gpu=True), problems)


if __name__ == "__main__":
    main()
