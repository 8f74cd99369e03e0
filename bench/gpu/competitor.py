"""AdaSplash's forward pass, carried in build-gpu/python: loaded, its kernels compiled beforehand, its launches timed.
`python3 competitor.py DTYPE HEADS LENGTH HEAD_DIM` compiles those of one size into Triton's disk cache."""
import concurrent.futures
import os
import subprocess
import sys


def load():
    """(its forward of 1.5-entmax under a causal mask, None), or (None, the reason why there is none)."""
    try:
        from adasplash import adasplash_v2
        import adasplash.adasplash_v2  # noqa: F401  the kernels themselves: with triton or not at all
        return adasplash_v2, None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def tune_by(bench):
    """How Triton times the 48 configurations of a size, bench(call, quantiles=): its own way takes 6 seconds a size."""
    import adasplash.adasplash_v2
    module = sys.modules["adasplash.adasplash_v2"]
    for kernel in vars(module).values():
        if hasattr(kernel, "configs"):
            kernel.do_bench = bench


def tune_shortly():
    """A configuration gets 10 ms to warm up and 40 ms of runs, where Triton's own are 25 and 100."""
    from triton.testing import do_bench
    tune_by(lambda call, quantiles: do_bench(call, warmup=10, rep=40, quantiles=quantiles))


def warm(torch, dtype, heads, length, head_dim):
    """Compiles what a size needs, all configurations, each run once."""
    forward, why = load()
    if not forward:
        sys.exit(why)

    def once(call, quantiles):
        call()
        return [1.0] * len(quantiles)

    tune_by(once)
    q = torch.randn(1, heads, length, head_dim, device="cuda").to(getattr(torch, dtype))
    with torch.no_grad():
        forward(q, q, q)
    torch.cuda.synchronize()


class Warming:
    """A process for each size (dtype, heads, length, head_dim), as many side by side as there are cores. While it goes
    on nothing can be timed: a neighbour would be in the times."""

    def __init__(self, sizes):
        self.processes, self.stopped = [], False
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
        self.waiting = {self.pool.submit(self._run, size): size for size in sizes}

    def _run(self, size):
        if self.stopped:
            return "not begun in time"
        process = subprocess.Popen([sys.executable, __file__, *map(str, size)], text=True, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        self.processes.append(process)
        if self.stopped:  # finish() may have looked before this one was there
            process.kill()
        errors = process.communicate()[1]
        if process.returncode == 0:
            return None
        return "not compiled in time" if self.stopped else errors.strip()[-400:] or f"exit code {process.returncode}"

    def busy(self):
        return not all(future.done() for future in self.waiting)

    def finish(self, seconds):
        """{size: why} of those that are not warm after so many seconds; they are stopped. Asked again: {}."""
        if self.stopped:
            return {}
        concurrent.futures.wait(self.waiting, timeout=max(seconds, 0))
        self.stopped = True
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        self.pool.shutdown()
        whys = {size: future.exception() or future.result() for future, size in self.waiting.items()}
        return {size: str(why) for size, why in whys.items() if why}


def kernel_times(torch, call, rounds=5):
    """Milliseconds of each kernel of `call`, by torch's profiler: the mean over some calls."""
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(rounds):
            call()
        torch.cuda.synchronize()
    return {event.key: event.device_time_total / rounds / 1e3 for event in profiled.key_averages()
            if event.device_time_total > 0}


if __name__ == "__main__":
    import torch
    warm(torch, sys.argv[1], *map(int, sys.argv[2:]))
