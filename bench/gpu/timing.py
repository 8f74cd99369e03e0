"""Times of competing functions in one process, turn by turn, each with cold caches."""
import statistics
import time

FLUSH_BYTES = 512 << 20  # several times any L2; writing it also keeps the GPU busy while the host queues the next call


class GpuClock:
    def __init__(self, torch):
        self.torch = torch
        self.flush = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device="cuda")

    def measure(self, functions, rounds):
        """Milliseconds of each function in each round, by events; all of a round before the next begins."""
        events = [[(self.torch.cuda.Event(enable_timing=True), self.torch.cuda.Event(enable_timing=True))
                   for _ in functions] for _ in range(rounds)]
        for row in events:
            for function, (start, stop) in zip(functions, row):
                self.flush.zero_()
                start.record()
                function()
                stop.record()
        self.torch.cuda.synchronize()
        return [[start.elapsed_time(stop) for start, stop in column] for column in zip(*events)]

    def synchronize(self):
        self.torch.cuda.synchronize()


class HostClock:
    """Without a GPU: nothing is flushed and nothing runs beside the caller."""

    def measure(self, functions, rounds):
        times = [[] for _ in functions]
        for _ in range(rounds):
            for function, column in zip(functions, times):
                start = time.perf_counter()
                function()
                column.append((time.perf_counter() - start) * 1e3)
        return times

    def synchronize(self):
        pass


def summary(times):
    ordered = sorted(times)
    return dict(median_ms=statistics.median(ordered), least_ms=ordered[0], most_ms=ordered[-1], rounds=len(ordered))


def race(clock, functions, seconds=0.4, most=31):
    """{name: {median_ms, ...}} of {name: function}, or {name: {failed: why}} of one that does not run. As many rounds as
    fit into `seconds`, 3 at least: an odd number, so that a median was measured."""
    found, running = {}, {}
    for name, function in functions.items():
        try:
            function()
            clock.synchronize()
            running[name] = function
        except Exception as error:  # a peer that refuses a shape says so in the record
            found[name] = dict(failed=f"{type(error).__name__}: {error}"[:400])
    if running:
        round_ms = sum(times[0] for times in clock.measure(list(running.values()), 1))
        rounds = max(3, min(most, int(seconds * 1e3 / max(round_ms, 1e-3)))) // 2 * 2 + 1
        for name, times in zip(running, clock.measure(list(running.values()), rounds)):
            found[name] = summary(times)
    return found


def each(call, rounds, between=lambda: None):
    """Microseconds of `call` as the host sees them: the median and the least."""
    times = []
    for _ in range(rounds):
        between()
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    return dict(median_us=statistics.median(times), least_us=times[0], rounds=rounds)
