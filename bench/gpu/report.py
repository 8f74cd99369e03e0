"""What is written down of a measurement: on what, with what, and where the file goes."""
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def output_of(*command):
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() if run.returncode == 0 and run.stdout.strip() else None


def commit():
    """Of the checkout; of the bundle where the checkout travelled without its history."""
    described = output_of("git", "describe", "--always", "--dirty", "--abbrev=12")
    carried = pathlib.Path(os.environ.get("LACUNA_GPU_DIR", ROOT / "build-gpu")) / "COMMIT"
    return described or (carried.read_text().strip() if carried.exists() else None)


def smi(*fields):
    text = output_of("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader")
    values = text.splitlines()[0].split(", ") if text else [None] * len(fields)
    return dict(zip(fields, values))


def clocks():
    return smi("clocks.sm", "clocks.mem", "clocks.max.sm", "temperature.gpu", "power.draw")


def version_of(module):
    try:
        return getattr(__import__(module), "__version__", "?")
    except ImportError:
        return None


def facts(nvrtc=None):
    """GPU, driver, versions, clocks at the start, commit; no path and no host name."""
    found = dict(date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), commit=commit(),
                 python=platform.python_version(), nvrtc=nvrtc and nvrtc.version, torch=version_of("torch"),
                 triton=version_of("triton"), adasplash=version_of("adasplash"), clocks_before=clocks(),
                 **smi("name", "driver_version", "memory.total"))
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found.update(name=properties.name, multiprocessors=properties.multi_processor_count,
                     l2_bytes=properties.L2_cache_size, capability=f"{properties.major}.{properties.minor}",
                     torch_cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version())
    return found


def write(what, record):
    """bench/results/DATE-GPU-WHAT.json; under $OUT where that is set, for only that comes back from a lent machine."""
    record["facts"]["clocks_after"] = clocks()
    gpu = re.sub("[^a-z0-9]+", "-", (record["facts"].get("name") or "no gpu").lower())
    folder = pathlib.Path(os.environ.get("OUT") or ROOT / "bench" / "results")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record['facts']['date'][:10]}-{gpu}-{what}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"-- {path}")
    return path


def show(rows, columns):
    """A table of the rows that have all its columns; numbers to four digits."""
    def cell(value):
        return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    table = [columns] + [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    for line in table:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths)), flush=True)
