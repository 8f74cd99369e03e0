"""The test programs of the bundle on the GPU: every test case in a process of its own, side by side, each under several
seeds. `scripts/gpu.sh suite`; without a GPU it lists them."""
import argparse
import concurrent.futures
import os
import pathlib
import random
import subprocess
import sys
import time

import driver
import report

PROGRAMS = ("conformance_test", "cuda_gpu_test")
# What a test says that cannot run here. Where there is a GPU, that is a failure.
SILENT = ("skipped:", "conformance without nvrtc", "No tests ran")


def cases_of(program):
    listed = subprocess.run([program, "--list-test-names-only"], capture_output=True, text=True, timeout=60)
    names = [line.strip() for line in listed.stdout.splitlines() if line.strip()]
    if not names:
        raise SystemExit(f"{program} lists no test:\n{listed.stdout}{listed.stderr}")
    return names


def run(program, case, seed, seconds):
    environment = dict(os.environ, LACUNA_DEVICE="cuda", LACUNA_SEED=str(seed))
    start = time.perf_counter()
    try:
        done = subprocess.run([program, case.replace(",", "\\,"), "--durations", "yes"], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, cwd=report.ROOT)
        code, log = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        code, log = f"over {seconds} s", (late.stdout or b"").decode(errors="replace")
    silent = [words for words in SILENT if words in log]
    return dict(program=pathlib.Path(program).name, case=case, seed=seed, seconds=time.perf_counter() - start,
                code=code, passed=code == 0 and not silent, silent=silent, log=log[-6000:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=540)
    options = parser.parse_args()
    jobs = [(str(options.bundle / program), case) for program in PROGRAMS for case in cases_of(options.bundle / program)]
    try:
        found = driver.Driver()
    except driver.Missing as missing:
        print(f"-- dry run: {missing}; on a GPU these run:")
        for program, case in jobs:
            print(f"   {pathlib.Path(program).name}: {case}")
        sys.exit(driver.SKIPPED)
    print(f"-- {found.name()}, driver {found.version}")
    seeds = [random.SystemRandom().randrange(2**32) for _ in range(options.seeds)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(run, program, case, seed, options.seconds) for seed in seeds for program, case in jobs]
        results = []
        for one in concurrent.futures.as_completed(runs):
            results.append(one.result())
            row = results[-1]
            print(f"{'passed' if row['passed'] else 'FAILED'} {row['seconds']:6.1f} s  LACUNA_SEED={row['seed']}  "
                  f"{row['program']}: {row['case']}", flush=True)
            if not row["passed"]:
                print(row["log"], flush=True)
    try:
        nvrtc = driver.Nvrtc()
    except driver.Missing:
        nvrtc = None
    report.write("suite", dict(facts=report.facts(nvrtc), runs=results))
    failed = sum(not row["passed"] for row in results)
    print(f"-- {len(results) - failed} of {len(results)} passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
