"""Arrays of a call as the C ABI takes them: numpy's, and torch's where they are."""
import contextlib
import ctypes
import sys

import numpy as np

from . import _abi
from ._abi import Error, choice


def torch_of(array):
    """The module torch where `array` is a tensor of its, else None: torch is never imported from here."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(array, torch.Tensor) else None


def is_array(value):
    return isinstance(value, np.ndarray) or torch_of(value) is not None


def dtype_name(what, dtype):
    """The name, one of _abi.DTYPES or not, of numpy's or torch's dtype or of what numpy takes for one."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(dtype, torch.dtype):
        return str(dtype).removeprefix("torch.")
    try:
        dtype = np.dtype(dtype)
    except TypeError:
        hint = "; ml_dtypes, once imported, provides it" if dtype == "bfloat16" else ""
        raise Error("argument", f"{what}: numpy has no dtype {dtype!r}{hint}") from None
    if not dtype.isnative:
        raise Error("argument", f"{what}: the byte order of '{dtype.str}' is not this machine's")
    return dtype.name


def dtype_code(what, dtype):
    return 1 + choice(f"{what}: dtype", dtype_name(what, dtype), _abi.DTYPES)


def check_array(name, array):
    """Its dtype's code."""
    if not is_array(array):
        raise Error("argument", f"{name}: a {type(array).__name__} is no numpy array and no torch tensor")
    return dtype_code(name, array.dtype)


class Call(contextlib.ExitStack):
    """Arrays of one call as the device can reach them. Torch's are taken where they are, and must be where the device
    is; so are numpy's on the host device, while a GPU gets copies that live as long as the call. `like`: one of them,
    which says whose they all are."""

    def __init__(self, engine, like):
        super().__init__()
        self.engine, self.like, self.torch = engine, like, torch_of(like)
        kind = ctypes.c_int32()
        _abi.check(_abi.lib.lacuna_engine_device(engine, ctypes.byref(kind)))
        self.on_host = kind.value == _abi.HOST

    def empty(self, shape, dtype):
        if self.torch:
            return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=self.like.device)
        return np.empty(shape, dtype)

    @property
    def stream(self):
        """Torch's current one, so that its own work before and after is ordered with ours. For numpy the one stream
        that copies are ordered with: lacuna_memory_read waits for it, and for no other."""
        if self.torch is None or self.on_host:
            return None
        return self.torch.cuda.current_stream(self.like.device).cuda_stream

    def place(self, name, array, output=False):
        code = check_array(name, array)
        if torch_of(array) is not self.torch:
            raise Error("argument", f"{name}: a {type(array).__name__} beside a {type(self.like).__name__}; "
                                    "one call takes arrays of one kind")
        if self.torch:
            return self._borrow(name, array, code)
        if self.on_host:
            return _view(name, array, code, array.ctypes.data)
        return self._copy(name, array, code, output)

    def lend(self, name, array):
        """Memory of the caller's that outlives the call: what cannot be copied."""
        if self.torch is None and not self.on_host:
            raise Error("argument", f"{name}: a numpy array is not where the engine computes, on a GPU")
        return self.place(name, array)

    def _borrow(self, name, tensor, code):
        if tensor.device != self.like.device or (tensor.device.type == "cpu") != self.on_host:
            where = "on the host" if self.on_host else "on a GPU"
            raise Error("argument", f"{name}: it is on {tensor.device}, but the engine computes {where} and the call's "
                                    f"first tensor is on {self.like.device}")
        if tensor.layout != self.torch.strided:
            raise Error("argument", f"{name}: a tensor of layout {tensor.layout} has no strides")
        if tensor.requires_grad and self.torch.is_grad_enabled():
            raise Error("unsupported", f"{name}: it wants a gradient, and there is no backward pass yet; "
                                       "call it under torch.no_grad()")
        return _tensor(tensor.data_ptr(), code, tensor.shape, tensor.stride())

    def _copy(self, name, array, code, output):
        array, memory = np.ascontiguousarray(array), ctypes.c_void_p()
        _abi.check(_abi.lib.lacuna_memory_allocate(self.engine, max(array.nbytes, 1), ctypes.byref(memory)))
        self.callback(_abi.lib.lacuna_memory_release, self.engine, memory)
        if output:
            self.callback(lambda: _abi.check(_abi.lib.lacuna_memory_read(
                self.engine, array.ctypes, memory, array.nbytes)))
        else:
            _abi.check(_abi.lib.lacuna_memory_write(self.engine, memory, array.ctypes, array.nbytes))
        return _view(name, array, code, memory)


def _view(name, array, code, data):
    if any(stride % array.itemsize for stride in array.strides):
        raise Error("argument", f"{name}: strides {array.strides} bytes are no multiples of an element, "
                                f"{array.itemsize} bytes")
    return _tensor(data, code, array.shape, [s // array.itemsize for s in array.strides])


def _tensor(data, code, shape, strides):
    extents = ctypes.c_int64 * len(shape)
    return _abi.Tensor(data, code, len(shape), extents(*shape), extents(*strides))
