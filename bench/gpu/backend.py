"""Where a measurement runs: on torch's GPU; without one on the host device, at sizes that only prove the code of the
measurement, with torch's tensors where torch is installed and else with numpy's."""
import sys

import numpy as np

import driver
import timing

DTYPES = ("bfloat16", "float16")
ERROR_BOUND = {"bfloat16": 1e-2, "float16": 2e-3, "float32": 1e-4}  # of |O - reference| / |reference|


class Torch:
    def __init__(self, torch, gpu):
        self.torch, self.gpu, self.device = torch, gpu, "cuda" if gpu else "cpu"
        self.clock = timing.GpuClock(torch) if gpu else timing.HostClock()
        self.dtypes = DTYPES
        torch.manual_seed(20260)

    def dtype(self, name):
        return getattr(self.torch, name)

    def randn(self, shape, dtype):
        return self.torch.randn(shape, device=self.device, dtype=self.torch.float32).to(self.dtype(dtype))

    def cast(self, tensor, dtype):
        return tensor.to(self.dtype(dtype))

    def index(self, positions):
        """Positions, an array of numpy's, as a tensor takes them in brackets."""
        return self.torch.as_tensor(positions, device=self.device)

    def numpy(self, tensor):
        return tensor.float().cpu().numpy().astype(np.float64)

    def peers(self, q, k, v, causal):
        """torch's own attention by the kernels that it has for a GPU; whatever it takes on the host."""
        from torch.nn.attention import SDPBackend, sdpa_kernel
        attention = self.torch.nn.functional.scaled_dot_product_attention
        shared = {} if q.shape[1] == k.shape[1] else {"enable_gqa": True}

        def by(backend):
            def run():
                with sdpa_kernel(backend):
                    return attention(q, k, v, is_causal=causal, **shared)
            return run

        if not self.gpu:
            return {"sdpa_math": by(SDPBackend.MATH)}
        return {"sdpa_flash": by(SDPBackend.FLASH_ATTENTION), "sdpa_cudnn": by(SDPBackend.CUDNN_ATTENTION)}

    def stream_us(self, call, count=200):
        """Microseconds of the stream from one launch to the next, with the host ahead of it."""
        if not self.gpu:
            return None
        start, stop = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        call()
        self.torch.cuda.synchronize()
        self.torch.cuda._sleep(100_000_000)
        start.record()
        for _ in range(count):
            call()
        stop.record()
        self.torch.cuda.synchronize()
        return start.elapsed_time(stop) * 1e3 / count


class Numpy:
    gpu, dtypes = False, ("float16", "float32")

    def __init__(self):
        self.clock, self.random = timing.HostClock(), np.random.default_rng(20260)

    def dtype(self, name):
        return np.dtype(name)

    def randn(self, shape, dtype):
        return self.random.standard_normal(shape).astype(dtype)

    def cast(self, array, dtype):
        return array.astype(dtype)

    def index(self, positions):
        return positions

    def numpy(self, array):
        return array.astype(np.float64)

    def peers(self, q, k, v, causal):
        return {}

    def stream_us(self, call, count=200):
        return None


def open_backend():
    """The GPU through torch; else, with the reason printed, what is here."""
    try:
        found = driver.Driver()
        import torch
        if not torch.cuda.is_available():
            raise driver.Missing(f"torch {torch.__version__} does not see {found.name()}")
        return Torch(torch, gpu=True)
    except (driver.Missing, ImportError) as missing:
        print(f"-- dry run: {missing}")
    try:
        import torch
        return Torch(torch, gpu=False)
    except ImportError:
        print("-- torch is not installed: numpy's arrays, and nothing to compare with")
        return Numpy()


def finish(backend, problems):
    """Exit code: 1 where something is wrong, on a GPU or without; 77 where all is right but no GPU was there."""
    for problem in problems:
        print(f"!! {problem}")
    sys.exit(1 if problems else 0 if backend.gpu else driver.SKIPPED)
