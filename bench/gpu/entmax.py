"""The forward pass of entmax beside AdaSplash's, and torch's SDPA of softmax on the same tensors: where the scores are
sparse, where rows are short, and where queries are few. `scripts/gpu.sh entmax`; without a GPU a dry run on the host
device that times nothing of interest."""
import argparse
import re
import time

import lacuna

import competitor
import driver
import operands
import report
import timing
from backend import ERROR_BOUND, finish, open_backend
from micro import open_engine

TOKENS, WIDTH, MOST = 16384, 2048, 32768  # batch * keys, heads * head dimension; where keys are more, heads are fewer
LENGTHS = [512 << i for i in range(9)]
TELLING = [2048, 8192, 512, 32768, 1024, 4096, 16384, 65536, 131072]  # the same, in the order of what they tell
HEAD_DIMS, SCORES = (64, 128), ("iid", "clustered")
DECODE_KEYS, GROUP = (32768, 131072), 8
STREAM_CALLS = 50
STARTED = time.perf_counter()
# What is promised where there is a GPU (docs/gpu.md): a peer, of which keys, and how many times as fast at least.
GOALS = (("adasplash", range(1 << 30), 1.8), ("sdpa_flash", range(512, 2049), 0.8))


def causal(dtype, alpha, scores, head_dim, length, **more):
    heads = max(WIDTH // head_dim * min(MOST, length) // length, 1)
    return dict(dtype=dtype, alpha=alpha, scores=scores, head_dim=head_dim, queries=length, keys=length,
                batch=max(TOKENS // length, 1), heads=heads, kv_heads=heads, **more)


def decode(dtype, alpha, scores, head_dim, keys, batch):
    heads = WIDTH // head_dim
    return dict(dtype=dtype, alpha=alpha, scores=scores, head_dim=head_dim, queries=1, keys=keys, batch=batch,
                heads=heads, kv_heads=max(heads // GROUP, 1))


def cases(backend, options):
    """The most telling first, for time may not suffice for all. `closely`: beside AdaSplash, and kernel by kernel."""
    first, *other_dtypes = backend.dtypes
    if not backend.gpu:
        few = dict(batch=1, heads=2, kv_heads=1)
        return [causal(first, 1.5, "iid", 64, 192) | few, causal(other_dtypes[0], 2.0, "clustered", 64, 128) | few,
                causal(first, 1.25, "clustered", 64, 600) | few | dict(heads=1),
                decode(first, 1.5, "iid", 64, 700, 1) | few]
    dims, lengths = options.head_dim, [n for n in TELLING if n in options.length]
    long = [n for n in lengths if n > 32768]
    found = [causal(first, 1.5, scores, d, n, closely=True)
             for few in ([n for n in lengths if n not in long], long) for d in dims for n in few for scores in SCORES]
    found += [decode(first, 1.5, scores, d, n, batch)
              for d in dims for n in DECODE_KEYS for batch in (1, 8) for scores in SCORES]
    if not options.quick:
        middle = [n for n in lengths if n in TELLING[:4]]
        found += [causal(first, alpha, scores, d, n)
                  for alpha in (2.0, 1.25) for d in dims for n in middle for scores in SCORES]
        found += [causal(dtype, 1.5, scores, d, n, closely=d == 64) for dtype in other_dtypes for d in dims
                  for n in middle for scores in SCORES]
        rest = [n for n in lengths if n not in middle]
        found += [causal(dtype, alpha, scores, d, n) for dtype in backend.dtypes for alpha in (1.5, 2.0, 1.25)
                  for n in rest for d in dims for scores in SCORES if (dtype, alpha) != (first, 1.5)]
    return found


def has_peer(case):
    """Whether AdaSplash is timed, which has 1.5-entmax under a causal mask: to tune it for a size takes seconds."""
    return case["alpha"] == 1.5 and case["queries"] > 1 and case.get("closely", False)


def size_of(case):
    return tuple(case[name] for name in ("dtype", "heads", "keys", "head_dim"))


def kind_of(case):
    return tuple(case[name] for name in ("alpha", "scores", "head_dim", "queries", "keys"))


def shape_of(case):
    return tuple(case[name] for name in ("batch", "heads", "kv_heads", "queries", "keys"))


def label(case):
    return "{dtype} alpha={alpha} {scores} D={head_dim} B={batch} H={heads} G={kv_heads} N={queries}x{keys}".format(**case)


def route_in(explained):
    return re.search(r"\n +route (\w+)", explained)[1]


class Programs:
    """Those of the cases, compiled once."""

    def __init__(self, backend):
        self.backend, self.engines, self.made = backend, {"": open_engine(backend)}, {}

    def of(self, case, sparsity=False, schedule=""):
        key = case["alpha"], case["queries"] > 1, case["dtype"], case["head_dim"], sparsity, schedule
        if key not in self.made:
            if schedule not in self.engines:
                self.engines[schedule] = open_engine(self.backend, schedule=schedule)
            text = "attention measured {{ {} weights entmax({}) }}".format("mask causal" * key[1], case["alpha"])
            self.made[key] = self.engines[schedule].program(
                text, self.backend.dtype(case["dtype"]), case["head_dim"], sparsity=sparsity)
        return self.made[key]

    def by_tiles(self, case):
        """(route, program) of a case: beside one that keeps short rows' scores, the one that visits tiles."""
        explained = self.of(case).explain(*shape_of(case))
        route = route_in(explained)
        if route != "short":
            return route, None
        tiles = re.search(r"\npass +accumulate .*\n +tiles (\d+)x(\d+), (\d+) warps, (\d+) stage", explained).groups()
        other = self.of(case, schedule="{}x{}w{}s{}".format(*tiles))
        if route_in(other.explain(*shape_of(case))) != "plain":
            raise RuntimeError("a schedule by name does not lead to threshold and accumulate")
        return route, other


def sparsity_of(backend, programs, case):
    """What entmax finds in one head of such scores, which is untimed: of the tiles of keys that the mask leaves the part
    that is live, and per row the walks over K, and the keys with a weight."""
    case = case | dict(batch=1, heads=1, kv_heads=1)
    qkv, program = operands.draw(backend, case), programs.of(case, sparsity=True)
    seen = program.sparsity(*shape_of(case))
    reference, o = operands.Reference(backend, case, qkv), program.forward(*qkv, sparsity=seen)
    error = reference.error(o)
    found = seen.read()
    n, tile_q, tile_k = case["keys"], found["tile_q"], found["tile_k"]
    left = sum(-(-min(first + tile_q, n) // tile_k) for first in range(0, n, tile_q))
    return dict(live_tiles=int(found["live_tiles"].sum()) / left, tile=f"{tile_q}x{tile_k}",
                passes=float(found["passes"].mean()), most_passes=int(found["passes"].max()),
                support=float(found["support"].mean()), most_support=int(found["support"].max()), error=error)


def spent():
    return time.perf_counter() - STARTED


class Measurement:
    def __init__(self, backend, options):
        self.backend, self.options, self.programs = backend, options, Programs(backend)
        self.cases, self.problems, self.sparsity = cases(backend, options), [], {}
        self.rows, self.without, self.told = [], {}, set()
        self.forward, self.no_peer = competitor.load() if backend.gpu else (None, "it wants a GPU")
        if self.forward:
            competitor.tune_shortly()

    def look_at(self, case):
        """Sparsity, once for all dtypes; where queries are few there is none."""
        if case["queries"] == 1 or kind_of(case) in self.sparsity:
            return
        self.sparsity[kind_of(case)] = found = sparsity_of(self.backend, self.programs, case)
        if not found["error"] <= ERROR_BOUND[case["dtype"]]:
            self.problems.append(f"sparsity of {label(case)}: {found}")

    def prepare(self):
        """While AdaSplash's kernels are compiled nothing can be timed: meanwhile the first cases are looked at."""
        sizes = dict.fromkeys(size_of(case) for case in self.cases if has_peer(case)) if self.forward else {}
        warming = competitor.Warming(sizes)
        for case in self.cases:
            if not warming.busy() or spent() > self.options.warm:
                break
            self.attempt(self.look_at, case)
        self.without = warming.finish(self.options.warm - spent())
        for size, why in self.without.items():
            print(f"-- adasplash at {size}: {why}")
        print(f"-- {len(sizes) - len(self.without)} sizes of adasplash compiled after {spent():.0f} s")

    def attempt(self, step, case):
        """A case that fails is a problem, and the others go on."""
        try:
            step(case)
        except Exception as error:
            self.problems.append(f"{label(case)}: {type(error).__name__}: {error}"[:2000])
            self.backend.clock.synchronize()  # raises where no other case can run in this process

    def functions(self, case, qkv, row):
        program = self.programs.of(case)
        row["route"], by_tiles = self.programs.by_tiles(case)
        functions = {"lacuna": lambda: program.forward(*qkv)}
        if by_tiles:
            functions["lacuna_by_tiles"] = lambda: by_tiles.forward(*qkv)
        functions |= self.backend.peers(*qkv, case["queries"] > 1)
        if self.forward and has_peer(case) and size_of(case) not in self.without:
            functions["adasplash"] = lambda: self.forward(*qkv)
        return functions

    def time(self, case):
        qkv = operands.draw(self.backend, case)
        row = dict(case, sparsity=self.sparsity.get(kind_of(case)))
        functions = self.functions(case, qkv, row)
        row["times"] = times = timing.race(self.backend.clock, functions)
        self.rows.append(row)
        reference = operands.Reference(self.backend, case, qkv)
        for name, one in times.items():
            if "failed" in one:
                self.tell(case, name, one["failed"])
            elif not name.startswith("sdpa"):
                one["error"] = reference.error(functions[name]())
            if name.startswith("lacuna") and not one.get("error", 1) <= ERROR_BOUND[case["dtype"]]:  # nor is NaN within it
                self.problems.append(f"{label(case)}: {name}: {one}")
        row.update(summary_of(times))
        if self.backend.gpu:
            self.look_closer(case, {name: functions[name] for name in times if "median_ms" in times[name]}, row)

    def tell(self, case, name, why):
        """The same reason once, for what it fails first."""
        if (name, why) not in self.told:
            print(f"-- {name} fails, and maybe not here alone: {label(case)}: {why}")
        self.told.add((name, why))

    def look_closer(self, case, ran, row):
        """Of calls that are short, times of one after the other with the host ahead; and times of their kernels."""
        if case["keys"] <= 2048 or case["queries"] == 1:
            row["stream_us"] = {name: self.backend.stream_us(call, STREAM_CALLS) for name, call in ran.items()}
        if case.get("closely") or case["queries"] == 1:
            rounds = 1 if row.get("lacuna_ms", 0) > 20 else 5
            row["kernels_ms"] = {name: self.kernels(case, ran[name], rounds)
                                 for name in ("lacuna", "lacuna_by_tiles", "adasplash") if name in ran}

    def kernels(self, case, call, rounds):
        try:
            return competitor.kernel_times(self.backend.torch, call, rounds)
        except Exception as error:  # where machines are lent, profilers may be forbidden
            self.tell(case, "torch's profiler", f"{type(error).__name__}: {error}"[:400])
            return None

    def run(self, write):
        self.prepare()
        while self.cases and spent() < self.options.seconds:
            case = self.cases.pop(0)
            if case.get("closely") or spent() < self.options.seconds / 2:
                self.attempt(self.look_at, case)
            self.attempt(self.time, case)
            if len(self.rows) % 8 == 0:
                write()


def summary_of(times):
    """Of a row: medians, and how many times as fast as each other function ours is."""
    found = {f"{name}_ms": one["median_ms"] for name, one in times.items() if "median_ms" in one}
    found["error"] = times["lacuna"].get("error")
    others = [name for name in times if name != "lacuna" and {f"{name}_ms", "lacuna_ms"} <= found.keys()]
    return found | {f"of_{name}": found[f"{name}_ms"] / found["lacuna_ms"] for name in others}


def goals(rows):
    found = []
    for peer, keys, least in GOALS:
        ratios = [(row[f"of_{peer}"], label(row)) for row in rows
                  if f"of_{peer}" in row and row["queries"] > 1 and row["keys"] in keys]
        if ratios:
            found.append(dict(peer=peer, goal=least, met=sum(ratio >= least for ratio, _ in ratios), cases=len(ratios),
                              least=min(ratios)[0], at=min(ratios)[1]))
    return found


def show(measurement, record):
    table = [row | dict(live_tiles=(row["sparsity"] or {}).get("live_tiles")) for row in record["forward"]]
    times = ["lacuna_ms", "lacuna_by_tiles_ms", "adasplash_ms", "sdpa_flash_ms", "sdpa_cudnn_ms",
             "of_adasplash", "of_sdpa_flash", "of_sdpa_cudnn"]
    report.show(table, ["dtype", "alpha", "scores", "head_dim", "queries", "keys", "batch", "route", "live_tiles", "error"]
                + times * measurement.backend.gpu)
    for goal in record["goals"]:
        print("-- goal: {goal} times as fast as {peer}: so in {met} of {cases}, least {least:.3g} at {at}".format(**goal))
    if record["left_out"]:
        print(f"-- {len(record['left_out'])} cases were left out after {measurement.options.seconds:.0f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="alpha 1.5 in one dtype, and decode")
    parser.add_argument("--head-dim", type=int, nargs="+", default=HEAD_DIMS)
    parser.add_argument("--length", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--seconds", type=float, default=510, help="after which no new case is begun")
    parser.add_argument("--warm", type=float, default=200, help="seconds that AdaSplash's kernels may take to compile")
    options = parser.parse_args()
    backend = open_backend()
    try:
        nvrtc = driver.Nvrtc()
    except driver.Missing:
        nvrtc = None
    measurement = Measurement(backend, options)
    print(f"-- {measurement.programs.engines['']}")
    if not measurement.forward:
        print(f"-- no times of adasplash: {measurement.no_peer}")
    record = dict(facts=report.facts(nvrtc), engine=str(measurement.programs.engines[""]), tokens=TOKENS, width=WIDTH,
                  forward=measurement.rows, left_out=measurement.cases, problems=measurement.problems)

    def write():
        record.update(goals=goals(measurement.rows), adasplash_missing=[
            dict(size=size, why=why) for size, why in measurement.without.items()])
        if backend.gpu:
            report.write("entmax", record)

    try:
        measurement.run(write)
    except Exception as error:  # the GPU's context is gone: what was measured before is not
        measurement.problems.append(f"nothing more can run: {type(error).__name__}: {error}"[:2000])
    write()
    show(measurement, record)
    finish(backend, measurement.problems)


if __name__ == "__main__":
    main()
