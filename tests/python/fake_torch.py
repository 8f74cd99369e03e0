"""As much of torch as the package asks of it, over numpy: so that its calls are tested where torch is not installed.
bfloat16 is kept as its bits."""
import types

import numpy as np


class dtype:
    def __init__(self, name, bits):
        self.name, self.bits = name, np.dtype(bits)

    def __str__(self):
        return "torch." + self.name


float32, float16, bfloat16 = dtype("float32", "f4"), dtype("float16", "f2"), dtype("bfloat16", "u2")
int32, int64 = dtype("int32", "i4"), dtype("int64", "i8")
strided = types.SimpleNamespace(name="strided")


class Tensor:
    def __init__(self, bits, dtype, requires_grad=False, device="cpu"):
        self.bits, self.dtype, self.requires_grad, self.layout = bits, dtype, requires_grad, strided
        self.device = types.SimpleNamespace(type=device)

    shape = property(lambda self: self.bits.shape)

    def stride(self):
        return tuple(s // self.bits.itemsize for s in self.bits.strides)

    def data_ptr(self):
        return self.bits.ctypes.data

    def transpose(self, a, b):
        return Tensor(self.bits.swapaxes(a, b), self.dtype)

    def requires_grad_(self):
        return Tensor(self.bits, self.dtype, requires_grad=True)

    def numpy(self):
        return self.bits


def from_numpy(array):
    return Tensor(array, next(t for t in (float32, float16, int32, int64) if t.bits == array.dtype))


def empty(shape, dtype, device):
    return Tensor(np.empty(shape, dtype.bits), dtype)


def is_grad_enabled():
    return True
