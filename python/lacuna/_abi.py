"""lacuna.h in ctypes: the library, its structs, and handles that are destroyed once."""
import ctypes
import numbers
import os
import pathlib
import weakref
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint64, c_void_p

HOST = 1  # LACUNA_DEVICE_HOST
KINDS = ("pattern", "argument", "unsupported", "unavailable", "compilation", "device", "io", "internal")
DTYPES = ("float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


class Error(RuntimeError):
    """What the library refused: `kind` is one of KINDS, `log` the compiler's log and source, if any."""

    def __init__(self, kind, message, log=""):
        super().__init__(message)
        self.kind, self.log = kind, log


def _load():
    here = pathlib.Path(__file__).resolve().parent
    named = os.environ.get("LACUNA_LIBRARY")
    places = [named] if named else [here / "liblacuna.so", here.parents[1] / "build" / "liblacuna.so"]
    for place in places:
        if os.path.exists(place):
            return ctypes.CDLL(str(place))
    raise ImportError(f"liblacuna.so not found in {', '.join(map(str, places))}; LACUNA_LIBRARY may name it")


def _struct(title, /, **fields):
    return type(title, (ctypes.Structure,), {"_fields_": list(fields.items())})


Log = ctypes.CFUNCTYPE(None, c_char_p, c_void_p)
EngineOptions = _struct(
    "EngineOptions", size=c_size_t, device=c_int32, ordinal=c_int32, compiler=c_int32, threads=c_int32,
    validate=c_int32, nvrtc_library=c_char_p, llvm_library=c_char_p, cache_dir=c_char_p, cache_bytes=c_uint64,
    log=Log, log_closure=c_void_p, check_memory=c_int32, schedule=c_char_p)
Storage = _struct("Storage", name=c_char_p, dtype=c_int32)
Spec = _struct(
    "Spec", size=c_size_t, dtype=c_int32, head_dim=c_int32, value_dim=c_int32, output=c_int32, statistic=c_int32,
    lengths=c_int32, storage=POINTER(Storage), storage_count=c_size_t, escort=c_int32, sparsity=c_int32)
Tensor = _struct("Tensor", data=c_void_p, dtype=c_int32, rank=c_int32, shape=POINTER(c_int64), strides=POINTER(c_int64))
Value = type("Value", (ctypes.Union,), {"_fields_": [("integer", c_int32), ("real", c_float)]})
Param = _struct("Param", name=c_char_p, dtype=c_int32, value=Value)
NamedTensor = _struct("NamedTensor", name=c_char_p, tensor=Tensor)
Args = _struct(
    "Args", size=c_size_t, q=Tensor, k=Tensor, v=Tensor, o=Tensor, lse=Tensor, params=POINTER(Param),
    param_count=c_size_t, tensors=POINTER(NamedTensor), tensor_count=c_size_t, scale=POINTER(c_float),
    offset=POINTER(c_int32), offsets=Tensor, q_lens=Tensor, k_lens=Tensor, cu_seqlens_q=Tensor, cu_seqlens_k=Tensor,
    workspace=Tensor, tiles=c_void_p, zmax=Tensor, gap=Tensor, escort=Tensor, sparsity=c_void_p)
TileRows = _struct(
    "TileRows", size=c_size_t, tile_q=c_int32, tile_k=c_int32, list_batch=c_int32, list_heads=c_int32, q_tiles=c_int32,
    rows=c_int32, offsets=POINTER(c_int32), indices=POINTER(c_int32), order=POINTER(c_int32))
SparsityRows = _struct(
    "SparsityRows", size=c_size_t, rows=c_int64, passes=POINTER(c_int32), candidates=POINTER(c_int32),
    support=POINTER(c_int32), residual=POINTER(c_float), tile_q=c_int32, tile_k=c_int32, q_tiles=c_int32, tiles=c_int64,
    live_tiles=POINTER(c_int32), offsets=POINTER(c_int64), keys=POINTER(c_int32))
Shape = _struct("Shape", batch=c_int64, heads=c_int64, kv_heads=c_int64, queries=c_int64, keys=c_int64)

lib = _load()


def _declare(result, **functions):
    """Types of every function: without them ctypes passes an integer as a C int and drops what does not fit."""
    for name, arguments in functions.items():
        function = getattr(lib, "lacuna_" + name)
        function.restype, function.argtypes = result, arguments


_declare(c_char_p, version=[], last_error=[], last_log=[])
_declare(None, string_free=[c_void_p], engine_destroy=[c_void_p], pattern_destroy=[c_void_p],
         program_destroy=[c_void_p], tiles_destroy=[c_void_p], tile_rows_free=[c_void_p],
         sparsity_destroy=[c_void_p], sparsity_rows_free=[c_void_p], memory_release=[c_void_p, c_void_p])
_declare(
    c_int32, devices=[POINTER(c_void_p)], engine_create=[POINTER(EngineOptions), POINTER(c_void_p)],
    engine_description=[c_void_p, POINTER(c_void_p)], engine_device=[c_void_p, POINTER(c_int32)],
    pattern_parse=[c_char_p, c_char_p, c_char_p, POINTER(c_void_p)],
    pattern_is_entmax=[c_void_p, POINTER(c_int32)],
    program_create=[c_void_p, c_void_p, POINTER(Spec), POINTER(c_void_p)], program_prepare=[c_void_p],
    program_workspace=[c_void_p, POINTER(Shape), POINTER(c_size_t)],
    program_explain=[c_void_p, POINTER(Shape), POINTER(c_void_p)], forward=[c_void_p, POINTER(Args), c_void_p],
    tiles_bytes=[c_void_p, POINTER(Shape), POINTER(c_size_t)],
    tiles_create=[c_void_p, POINTER(Args), POINTER(Tensor), c_void_p, POINTER(c_void_p)],
    tiles_refresh=[c_void_p, POINTER(Args), c_void_p], tiles_read=[c_void_p, c_void_p, POINTER(c_void_p)],
    sparsity_bytes=[c_void_p, POINTER(Shape), POINTER(c_size_t)],
    sparsity_create=[c_void_p, POINTER(Shape), POINTER(c_void_p)],
    sparsity_read=[c_void_p, c_void_p, POINTER(c_void_p)],
    memory_allocate=[c_void_p, c_size_t, POINTER(c_void_p)],
    memory_write=[c_void_p, c_void_p, c_void_p, c_size_t], memory_read=[c_void_p, c_void_p, c_void_p, c_size_t])


def check(status):
    if status != 0:
        raise Error(KINDS[status - 1], lib.lacuna_last_error().decode(), lib.lacuna_last_log().decode())


def text(function, *arguments):
    """The text that a function gives through its last parameter."""
    out = c_void_p()
    check(function(*arguments, ctypes.byref(out)))
    try:
        return ctypes.string_at(out).decode()
    finally:
        lib.lacuna_string_free(out)


def choice(what, word, words):
    if word not in words:
        raise Error("argument", f"{what} '{word}' is not one of {', '.join(words)}")
    return words.index(word)


def chars(what, text):
    if "\0" in text:  # the library would read no further
        raise Error("argument", f"{what}: character {text.index(chr(0))} is NUL, where a C string ends")
    return text.encode()


def sized(struct, /, **fields):
    for name in fields:  # ctypes takes any name
        choice(f"{struct.__name__}: field", name, [field for field, _ in struct._fields_[1:]])
    made = struct(size=ctypes.sizeof(struct), **fields)
    for name, value in fields.items():  # a field, too, drops what does not fit
        if isinstance(value, (numbers.Integral, bytes)) and getattr(made, name) != value:
            raise Error("argument", f"{name}: {value} does not fit its type")
    return made


def array(struct, values):
    """A C array and its length, for a pointer field and its count."""
    return (struct * len(values))(*values), len(values)


def _destroy(function, pointer):
    function(pointer)
    pointer.value = None  # a closed handle is null to the library: an error, never a crash


class Handle:
    """What a create function made; destroyed with this object or by close(), once."""

    def __init__(self, kind, *arguments):
        self._as_parameter_ = c_void_p()
        create = getattr(lib, f"lacuna_{kind}_{'parse' if kind == 'pattern' else 'create'}")
        check(create(*arguments, ctypes.byref(self._as_parameter_)))
        destroy = getattr(lib, f"lacuna_{kind}_destroy")
        self.close = weakref.finalize(self, _destroy, destroy, self._as_parameter_)
