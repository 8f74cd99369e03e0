"""The test programs of the bundle on the GPU: every test case in a process of its own, side by side, each under several
seeds while time lasts. `scripts/gpu.sh suite`; without a GPU it lists them."""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import random
import subprocess
import sys
import time

import driver
import report

PROGRAMS = ("cuda_gpu_test", "conformance_entmax_test", "conformance_entmax_kept_test", "conformance_test")
ON_THE_HOST = ("checks of memory", "every barrier and wait")  # what begins so asks nothing of a GPU
# What a test says that cannot run here. Where there is a GPU, that is a failure.
SILENT = ("skipped:", "conformance without nvrtc", "No tests ran")


def cases_of(program):
    listed = subprocess.run([program, "--list-test-names-only"], capture_output=True, text=True, timeout=60)
    names = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
    if not names:
        raise SystemExit(f"{program} lists no test:\n{listed.stdout}{listed.stderr}")
    return [name for name in names if not name.startswith(ON_THE_HOST)]


def run(program, case, seed, deadline):
    """What came of it: `passed`, or `unfinished` where it did not end by the deadline or did not begin."""
    start = time.perf_counter()
    row = dict(program=pathlib.Path(program).name, case=case, seed=seed, passed=False, unfinished=True, log="", seconds=0)
    if start >= deadline:
        return row
    environment = dict(os.environ, LACUNA_DEVICE="cuda", LACUNA_SEED=str(seed))
    try:
        done = subprocess.run([program, case.replace(",", "\\,"), "--durations", "yes"], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=deadline - start, cwd=report.ROOT)
    except subprocess.TimeoutExpired as late:
        return row | dict(seconds=time.perf_counter() - start, log=(late.stdout or b"").decode(errors="replace")[-6000:])
    silent = [words for words in SILENT if words in done.stdout]
    return row | dict(seconds=time.perf_counter() - start, unfinished=False, code=done.returncode,
                      passed=done.returncode == 0 and not silent, silent=silent, log=done.stdout[-6000:])


def unknown(results):
    """Cases that no seed brought to an end, and those that were stopped after much longer than they ever took: what hangs
    is no lack of time."""
    took = collections.defaultdict(float)
    for row in results:
        if not row["unfinished"]:
            took[case_of(row)] = max(took[case_of(row)], row["seconds"])
    return sorted({case_of(row) for row in results if row["unfinished"]
                   and (case_of(row) not in took or row["seconds"] > max(60, 3 * took[case_of(row)]))})


def case_of(row):
    return f"{row['program']}: {row['case']}"


def tell(row):
    verdict = "passed" if row["passed"] else "unfinished" if row["unfinished"] else "FAILED"
    print(f"{verdict} {row['seconds']:6.1f} s  LACUNA_SEED={row['seed']}  {case_of(row)}", flush=True)
    if not row["passed"] and row["log"]:
        print(row["log"], flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=560, help="after which what still runs is stopped")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with it in their name, or their program's")
    options = parser.parse_args()
    deadline = time.perf_counter() + options.seconds
    jobs = [(str(options.bundle / program), case) for program in PROGRAMS for case in cases_of(options.bundle / program)
            if options.only in f"{program}: {case}"]
    if not jobs:
        sys.exit(f"!! no test has '{options.only}' in its name")
    try:
        found = driver.Driver()
    except driver.Missing as missing:
        print(f"-- dry run: {missing}; on a GPU these run:")
        for program, case in jobs:
            print(f"   {pathlib.Path(program).name}: {case}")
        sys.exit(driver.SKIPPED)
    print(f"-- {found.name()}, driver {found.version}")
    seeds = [random.SystemRandom().randrange(2**32) for _ in range(options.seeds)]
    results = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(run, program, case, seed, deadline) for seed in seeds for program, case in jobs]
        for one in concurrent.futures.as_completed(runs):
            results.append(one.result())
            if not results[-1]["unfinished"] or results[-1]["seconds"]:
                tell(results[-1])
    try:
        nvrtc = driver.Nvrtc()
    except driver.Missing:
        nvrtc = None
    report.write("suite", dict(facts=report.facts(nvrtc), runs=results))
    failed = sum(not row["passed"] and not row["unfinished"] for row in results)
    unfinished, stopped = sum(row["unfinished"] for row in results), unknown(results)
    print(f"-- {len(results) - failed - unfinished} of {len(results)} passed, {failed} failed, {unfinished} were not finished")
    for case in stopped:
        print(f"!! it does not end: {case}")
    sys.exit(1 if failed or stopped else 0)


if __name__ == "__main__":
    main()
