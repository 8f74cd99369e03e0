#!/usr/bin/env python3
"""Counts, for every pattern of examples/patterns, the tiles that are visited and the fewest that any kernel could visit.

    bench/tightness.py [--lacuna build/lacuna] [--tokens 2048,8192] [--schedule 64x64w4s2] [--jobs 2] [--limit 3600]

Prints a table in Markdown. The tensors are those of scripts/gallery_tensors.py at that length; counts are those of `lacuna explain
--minimum`: by every pair up to 2^28 pairs, beyond that by those of PARTIAL tiles. No GPU is needed, and none would change a number.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts"))
from gallery_tensors import groups  # noqa: E402


def explain(lacuna: str, schedule: str, limit: float, name: str, picture: dict):
    """What explain says of the pattern's tiles; None where it takes more seconds."""
    words = [lacuna, "explain", str(ROOT / "examples" / "patterns" / f"{name}.lac"), "--shape", picture["shape"], "--minimum", "--json"]
    words += ["--schedule", schedule, "--head", str(picture["head"])]
    for param, value in picture["params"].items():
        words += ["--param", f"{param}={value}"]
    with tempfile.TemporaryDirectory() as folder:
        for tensor, array in picture["tensors"].items():
            file = f"{folder}/{tensor}.npy"
            np.save(file, array)
            words += ["--tensor", f"{tensor}={file}"]
        # Registers are not asked for: nothing is compiled.
        try:
            ran = subprocess.run(words, capture_output=True, text=True, timeout=limit, env={**os.environ, "LACUNA_NVRTC": "none"})
        except subprocess.TimeoutExpired:
            return None
    if ran.returncode != 0:
        raise SystemExit(f"tightness: {' '.join(words)}\n{ran.stderr}{ran.stdout}")
    return json.loads(ran.stdout)


def decided_by(said: dict):
    if said["route"] == "decode":
        return "decode"
    if said["route"] == "plain":
        return "closed form"
    if not said["elements"]["tested"]:
        return "spans"
    culprit = said["elements"]["for"]
    return f"elements: {said['elements']['why']}" + (f" (`{culprit}`)" if 0 < len(culprit) < 60 else "")


def row(name: str, said: dict):
    """The cells of a pattern, and its two counts."""
    if said is None:
        return f"| {name} | | | | | | not counted in time |", None
    tiles = said["tiles"]
    if not tiles or "unknown" in tiles:
        return f"| {name} | | | | | | {tiles['unknown'] if tiles else 'not known'} |", None
    least = tiles["fewest"]["full"] + tiles["fewest"]["partial"]
    visited = tiles["full"] + tiles["partial"]
    ratio = visited / least if least else 1.0
    cells = [name, visited, least, f"{ratio:.3f}", f"{tiles['full']} / {tiles['fewest']['full']}", tiles["tested"]["tiles"], decided_by(said)]
    return "| " + " | ".join(str(cell) for cell in cells) + " |", (visited, least)


def table(lacuna: str, schedule: str, tokens: int, jobs: int, limit: float):
    every = {name: picture for pictures in groups(tokens // 512).values() for name, picture in pictures.items()}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        said = pool.map(lambda one: explain(lacuna, schedule, limit, *one), every.items())
        rows = [row(name, one) for name, one in zip(every, said)]
    print(f"\n## {tokens} tokens, tiles of {schedule.split('w')[0]}\n")
    print("| pattern | visited | fewest | ratio | FULL / fewest FULL | tested | decided by |\n|---|---|---|---|---|---|---|")
    for text, _ in rows:
        print(text)
    counted = [found for _, found in rows if found]
    visited, fewest = (sum(column) for column in zip(*counted))
    worst = max(found[0] / max(found[1], 1) for found in counted)
    print(f"\nOf {len(counted)} patterns: {visited} visited, {fewest} the fewest, {visited / fewest:.4f} overall, {worst:.4f} the most.", flush=True)


def main():
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    flags.add_argument("--lacuna", default=str(ROOT / "build" / "lacuna"), help="the command (default: build/lacuna)")
    flags.add_argument("--tokens", default="2048,8192", help="lengths, multiples of 512 (default: 2048,8192)")
    flags.add_argument("--schedule", default="64x64w4s2", help="whose tiles (default: 64x64w4s2)")
    flags.add_argument("--jobs", type=int, default=os.cpu_count())
    flags.add_argument("--limit", type=float, default=3600, help="seconds for a pattern (default: 3600)")
    given = flags.parse_args()
    for tokens in given.tokens.split(","):
        table(given.lacuna, given.schedule, int(tokens), given.jobs, given.limit)


if __name__ == "__main__":
    main()
