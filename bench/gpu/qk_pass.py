"""bench/probe/qk_pass.cu: its variants, compiled and launched."""
import ctypes
import dataclasses

import report

SOURCE = report.ROOT / "bench" / "probe" / "qk_pass.cu"
ENTRIES = ("row_max", "gate_hits")


class Params(ctypes.Structure):
    """As the kernel has it."""
    _fields_ = [(name, ctypes.c_uint64) for name in ("q", "k", "gate", "top", "hits", "seen")] + [
        ("rows", ctypes.c_int32), ("causal", ctypes.c_int32)]


@dataclasses.dataclass(frozen=True)
class Variant:
    head_dim: int
    m_tiles: int
    warps: int

    @property
    def tile_q(self):
        return self.m_tiles * self.warps * 16

    @property
    def shared_bytes(self):
        return max(3 * 64 * self.head_dim * 2, self.tile_q * self.head_dim * 2)

    @property
    def name(self):
        return f"m{self.m_tiles}w{self.warps}"

    def compile(self, nvrtc, arch):
        text = f"#define HEAD_DIM {self.head_dim}\n#define M_TILES {self.m_tiles}\n#define WARPS {self.warps}\n"
        return nvrtc.compile("qk_pass.cu", text + SOURCE.read_text(), arch)


def variants(head_dim):
    return [Variant(head_dim, m_tiles, warps) for m_tiles, warps in ((2, 4), (1, 4), (1, 8), (2, 8))]


class Passes:
    """The kernels of one variant on torch's tensors: q, k bf16 [heads, length, D], gate f32 [heads, length]."""

    def __init__(self, driver, nvrtc, arch, variant):
        self.variant = variant
        self.cubin = variant.compile(nvrtc, arch)
        self.kernels = {entry: driver.kernel(self.cubin.image, entry, variant.warps * 32, variant.shared_bytes)
                        for entry in ENTRIES}

    def bind(self, torch, q, k, causal):
        return Bound(self, torch, q, k, causal)


class Bound:
    def __init__(self, passes, torch, q, k, causal):
        heads, length, head_dim = q.shape
        variant = passes.variant
        if length % variant.tile_q or head_dim != variant.head_dim or k.shape != q.shape:
            raise ValueError(f"{variant} does not take q {tuple(q.shape)}, k {tuple(k.shape)}")
        if not (q.is_contiguous() and k.is_contiguous()):
            raise ValueError("q and k must be contiguous")
        self.passes, self.torch, self.q, self.k, self.causal = passes, torch, q, k, causal
        self.blocks = heads * length // variant.tile_q
        self.top = torch.full((heads, length), float("nan"), device=q.device)
        self.hits = torch.full((heads, length), -1, dtype=torch.int32, device=q.device)
        self.seen = torch.full((self.blocks * variant.warps, 2), -1, dtype=torch.int32, device=q.device)

    def _launch(self, entry, gate):
        params = Params(self.q.data_ptr(), self.k.data_ptr(), gate.data_ptr() if gate is not None else 0,
                        self.top.data_ptr(), self.hits.data_ptr(), self.seen.data_ptr(), self.q.shape[1], int(self.causal))
        self.passes.kernels[entry].launch(self.blocks, params, self.torch.cuda.current_stream().cuda_stream)

    def row_max(self):
        self._launch("row_max", None)

    def gate_hits(self, gate):
        self._launch("gate_hits", gate)

    def hit_rates(self):
        """Of the warps' tiles and of the 16x8 fragments, the parts with a hit, after gate_hits."""
        heads, length, _ = self.q.shape
        variant = self.passes.variant
        tile_q, q_tiles = variant.tile_q, length // variant.tile_q
        tiles = sum((i + 1) * tile_q if self.causal else length for i in range(q_tiles)) // 64 * heads * variant.warps
        seen = self.seen.sum(dim=0, dtype=self.torch.int64).tolist()
        return dict(tiles=seen[0] / tiles, fragments=seen[1] / (tiles * 8 * variant.m_tiles))
