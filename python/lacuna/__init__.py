"""Lacuna, a just-in-time compiler for sparse attention: numpy and torch over the C ABI (include/lacuna/lacuna.h).

    o = lacuna.attention("attention near { param w: i32  mask causal  mask q - k < w }", q, k, v, w=128)
"""
import ctypes
import functools
import numbers

import numpy as np

from . import _abi
from ._abi import Error, chars, choice
from ._tensors import Call, check_array, dtype_code, dtype_name, is_array

__all__ = ["Engine", "Error", "Program", "Tiles", "attention", "devices", "entmax", "version"]


def version():
    return _abi.lib.lacuna_version().decode()


def devices():
    """One line for each device that answers, best first."""
    return _abi.text(_abi.lib.lacuna_devices).splitlines()


class Engine(_abi.Handle):
    """One device, one compiler and the caches between them, shared by any number of threads. Options are those of
    lacuna_engine_options; what is not given is as LACUNA_DEVICE and its like say."""

    def __init__(self, device="auto", compiler="auto", log=None, **options):
        self._log = _abi.Log((lambda line, _: log(line.decode())) if log else 0)
        options = {name: chars(name, value) if isinstance(value, str) else value for name, value in options.items()}
        super().__init__("engine", ctypes.byref(_abi.sized(
            _abi.EngineOptions, device=choice("device", device, ("auto", "host", "cuda")),
            compiler=choice("compiler", compiler, ("auto", "nvrtc", "llvm")), log=self._log, **options)))

    def __str__(self):
        return _abi.text(_abi.lib.lacuna_engine_description, self)

    def entmax(self, x, alpha=1.5, *, output=None):
        """p = [c x - tau]+^(1/c), c = alpha - 1, along the last axis, with the tau of each row for which they sum to 1
        (Peters, Niculae and Martins 2019). alpha: 1 (softmax) or from 1.01 to 2 (sparsemax). x: float32, float16 or
        bfloat16 of one axis or more, the last contiguous; p has its shape, and its dtype unless `output` names another. A row
        of -inf alone gives zeros; one with a NaN or +inf gives NaN."""
        with Call(self, like=x) as call:
            placed = call.place("x", x)
            p = call.empty(tuple(x.shape), dtype_name("output", output or x.dtype))
            _abi.check(_abi.lib.lacuna_entmax(self, ctypes.byref(placed), ctypes.byref(call.place("p", p, output=True)),
                                              _real("alpha", alpha), call.stream))
        return p

    def program(self, text, dtype, head_dim, value_dim=0, **spec):
        return Program(self, text, dtype, head_dim, value_dim, **spec)


class Program(_abi.Handle):
    """A compiled pattern. `storage` is {tensor name: dtype} where it differs from the declared type.

    With `statistic`, calls also give the row statistic, float32 [B, H, Nq], by the names in Program.statistic: ("lse",)
    for softmax, the log of the sum of exponentials of a row's scores, -inf where no key answers; ("zmax", "gap") for
    entmax, the largest score and alpha - 1 times the distance from it down to the threshold below which weights are 0,
    -inf and 1 where no key answers. Where the alpha of entmax is a param or tensor that is 1, such a row is softmax:
    zmax holds its lse, and gap 0. `lse=True` is the same for softmax, and an error for entmax.

    With `escort`, calls of entmax also give, in the shape and type of O, the mean of V under weights that go as
    p ** (2 - alpha) where p > 0, which the gradient needs. With `sparsity` every call of entmax fills a Sparsity: what
    it found of each row, and what finding it took."""

    def __init__(self, engine, text, dtype, head_dim, value_dim=0, output=None, lse=False, lengths="uniform",
                 storage={}, origin="<text>", attention=None, *, statistic=False, escort=False, sparsity=False):
        self.engine = engine
        code, output = dtype_code("dtype", dtype), output or dtype
        self.output = dtype_name("output", output)
        pattern = _abi.Handle("pattern", chars("text", text), chars("origin", origin),
                              attention and chars("attention", attention))
        self.statistic = _statistic(pattern, lse) if lse or statistic else ()
        stored, count = _abi.array(_abi.Storage, [(chars("name", name), dtype_code(name, t)) for name, t in storage.items()])
        spec = _abi.sized(
            _abi.Spec, dtype=code, head_dim=head_dim, value_dim=value_dim,
            output=dtype_code("output", output), statistic=int(bool(self.statistic)),
            lengths=choice("lengths", lengths, ("uniform", "padded", "packed")),
            storage=stored, storage_count=count, escort=int(escort), sparsity=int(sparsity))
        self.escort = escort
        super().__init__("program", engine, pattern, ctypes.byref(spec))

    def prepare(self):
        _abi.check(_abi.lib.lacuna_program_prepare(self))

    def workspace(self, batch, heads, kv_heads, queries, keys):
        size = ctypes.c_size_t()
        shape = _abi.Shape(batch, heads, kv_heads, queries, keys)
        _abi.check(_abi.lib.lacuna_program_workspace(self, ctypes.byref(shape), ctypes.byref(size)))
        return size.value

    def explain(self, *shape):
        return _abi.text(_abi.lib.lacuna_program_explain, self, ctypes.byref(_abi.Shape(*shape)) if shape else None)

    def tiles_bytes(self, batch, heads, kv_heads, queries, keys):
        size = ctypes.c_size_t()
        shape = _abi.Shape(batch, heads, kv_heads, queries, keys)
        _abi.check(_abi.lib.lacuna_tiles_bytes(self, ctypes.byref(shape), ctypes.byref(size)))
        return size.value

    def tiles(self, q, k, *, memory=None, **masks):
        """Lists of tiles, made once for any number of calls: forward(..., tiles=). Of q and k they take the shape;
        `masks` is what forward takes beside arrays it computes with. `memory`: uint8 on the device, kept by the lists."""
        return Tiles(self, q, k, memory, masks)

    def sparsity(self, batch, heads, kv_heads, queries, keys):
        """Room for forward(..., sparsity=), of calls of this shape."""
        return Sparsity(self, (batch, heads, kv_heads, queries, keys))

    def forward(self, q, k, v, *, params={}, tensors={}, scale=None, offset=None, q_lens=None, k_lens=None,
                cu_seqlens_q=None, cu_seqlens_k=None, tiles=None, sparsity=None, **named):
        """O, or where the program has a statistic (O, lse), of entmax (O, zmax, gap), and the escort last. `named` is shorthand for params and, where a value is an array,
        tensors; a name that is a keyword here is bound through those. `sparsity`: what Program.sparsity makes, to be written."""
        with Call(self.engine, like=q) as call:
            args = _arguments(call, q, k, params, tensors, offset, named, q_lens=q_lens, k_lens=k_lens,
                              cu_seqlens_q=cu_seqlens_q, cu_seqlens_k=cu_seqlens_k)
            args.v = call.place("v", v)
            o = call.empty((*q.shape[:-1], *v.shape[-1:]), self.output)
            args.o = call.place("o", o, output=True)
            rows = {name: call.empty(q.shape[:-1], "float32") for name in self.statistic}
            if self.escort:
                rows["escort"] = call.empty(o.shape, self.output)
            for name, row in rows.items():
                setattr(args, name, call.place(name, row, output=True))
            if scale is not None:
                args.scale = ctypes.pointer(ctypes.c_float(_real("scale", scale)))
            if tiles is not None:
                args.tiles = _pointer("tiles", tiles, Tiles)
            if sparsity is not None:
                args.sparsity = _pointer("sparsity", sparsity, Sparsity)
                sparsity._wrote(call.stream, q.shape)
            _abi.check(_abi.lib.lacuna_forward(self, ctypes.byref(args), call.stream))
        return (o, *rows.values()) if rows else o


class Tiles(_abi.Handle):
    """What Program.tiles makes: which tiles of keys each tile of queries visits. Ready in the order of the stream they
    were made on (torch's current one); any number of threads may read them while none refreshes."""

    def __init__(self, program, q, k, memory, masks):
        self.engine, self._memory = program.engine, memory
        with Call(self.engine, like=q) as call:
            args = _arguments(call, q, k, **_masks(masks))
            given = None if memory is None else ctypes.byref(call.lend("memory", memory))
            self._stream = call.stream
            super().__init__("tiles", program, ctypes.byref(args), given, self._stream)

    def refresh(self, q, k, **masks):
        """Makes the lists anew, in place, for a call of the same shape: after a tensor or a param of the masks changed."""
        with Call(self.engine, like=q) as call:
            args = _arguments(call, q, k, **_masks(masks))
            self._stream = call.stream
            _abi.check(_abi.lib.lacuna_tiles_refresh(self, ctypes.byref(args), self._stream))

    def read(self):
        """The lists on the host, once the stream they were made on is done, for tools and tests: a dict of tile_q, tile_k, list_batch,
        list_heads, q_tiles, order and rows; a row is (FULL, PARTIAL), arrays of key tiles. include/lacuna/lacuna.h says
        which row is which."""
        out = ctypes.c_void_p()
        _abi.check(_abi.lib.lacuna_tiles_read(self, self._stream, ctypes.byref(out)))
        try:
            seen = ctypes.cast(out, ctypes.POINTER(_abi.TileRows)).contents
            copy = lambda data, count: np.array(data[:count], np.int32)
            offsets = copy(seen.offsets, 2 * seen.rows + 1)
            parts = np.split(copy(seen.indices, int(offsets[-1])), offsets[1:-1])
            names = ("tile_q", "tile_k", "list_batch", "list_heads", "q_tiles")
            return {**{name: getattr(seen, name) for name in names}, "order": copy(seen.order, seen.rows),
                    "rows": list(zip(parts[::2], parts[1::2]))[:seen.rows]}
        finally:
            _abi.lib.lacuna_tile_rows_free(out)


class Sparsity(_abi.Handle):
    """What a call of entmax found, and took: written by forward(..., sparsity=), anew by each, one at a time."""

    def __init__(self, program, shape):
        self.engine, self._stream, self._rows = program.engine, None, ()
        super().__init__("sparsity", program, ctypes.byref(_abi.Shape(*shape)))

    def _wrote(self, stream, q_shape):
        self._stream, self._rows = stream, tuple(q_shape[:-1])

    def read(self):
        """A dict of arrays, once the stream of the last call is done. Of each row [B, H, Nq]: passes, the times K was walked
        for its tile of queries; candidates, the keys that its threshold was solved among in the end, 0 where all scores
        were; support, the keys with a weight; residual, |F t^beta - 1| of the gap before the last step. Of each tile of
        tile_q queries [B, H, tiles]: live_tiles, the tiles of tile_k keys that had to be visited; and lists of live keys,
        ascending: those of tile i of all are keys[offsets[i]:offsets[i + 1]]. Zeros of absent rows, and where alpha is 1.
        Packed: include/lacuna/lacuna.h says which tile is which."""
        out = ctypes.c_void_p()
        _abi.check(_abi.lib.lacuna_sparsity_read(self, self._stream, ctypes.byref(out)))
        try:
            seen = ctypes.cast(out, ctypes.POINTER(_abi.SparsityRows)).contents
            copy = lambda name, count, dtype: np.ctypeslib.as_array(getattr(seen, name), (count,)).copy() if count else np.zeros(0, dtype)
            found = {name: copy(name, seen.rows, np.int32).reshape(self._rows)
                     for name in ("passes", "candidates", "support")}
            found["residual"] = copy("residual", seen.rows, np.float32).reshape(self._rows)
            found["live_tiles"] = copy("live_tiles", seen.tiles, np.int32).reshape(*self._rows[:2], seen.q_tiles)
            found["offsets"] = copy("offsets", seen.tiles + 1, np.int64)
            found["keys"] = copy("keys", int(found["offsets"][-1]), np.int32)
            return {**found, "tile_q": seen.tile_q, "tile_k": seen.tile_k}
        finally:
            _abi.lib.lacuna_sparsity_rows_free(out)


def _statistic(pattern, lse):
    """The names of the statistic of a pattern's rows."""
    is_entmax = ctypes.c_int32()
    _abi.check(_abi.lib.lacuna_pattern_is_entmax(pattern, ctypes.byref(is_entmax)))
    if not is_entmax.value:
        return ("lse",)
    if lse:
        raise Error("argument", "lse: entmax has none; statistic=True gives its zmax and gap")
    return ("zmax", "gap")


def _pointer(name, handle, kind):
    if not isinstance(handle, kind):
        raise Error("argument", f"{name}: a {type(handle).__name__} is not what Program.{name} makes")
    if not handle._as_parameter_.value:
        raise Error("argument", f"{name}: {'they are' if kind is Tiles else 'it is'} closed")
    return handle._as_parameter_


def _masks(given):
    """Arguments of a call that lists depend on, with the names that are none of forward's keywords in `named`."""
    given = dict(given)
    own = {name: given.pop(name, value) for name, value in Program.forward.__kwdefaults__.items()}
    del own["scale"], own["tiles"], own["sparsity"]
    return {**own, "named": given}


def _arguments(call, q, k, params, tensors, offset, named, **vectors):
    """lacuna_args of a call, but for V, what is written, scale and tiles."""
    params, tensors = _bindings(params, tensors, named)
    args = _abi.sized(_abi.Args, q=call.place("q", q), k=call.place("k", k))
    if is_array(offset):
        vectors["offsets"] = offset
    elif offset is not None:
        args.offset = ctypes.pointer(ctypes.c_int32(_int32("offset", offset)))
    for name, vector in vectors.items():
        if vector is not None:
            setattr(args, name, call.place(name, vector))
    args.params, args.param_count = _abi.array(_abi.Param, [_param(*item) for item in params.items()])
    args.tensors, args.tensor_count = _abi.array(
        _abi.NamedTensor, [(chars("name", name), call.place(name, value)) for name, value in tensors.items()])
    return args


def _real(name, value):
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise Error("argument", f"{name}: {value!r} is no number")


def _int32(name, value):
    if not isinstance(value, (numbers.Real, np.bool_)):
        raise Error("argument", f"{name}: {value!r} is no number")
    if not isinstance(value, (numbers.Integral, np.bool_)) or not -2**31 <= value < 2**31:
        raise Error("argument", f"{name}: {value!r} does not fit i32")
    return int(value)


def _param(name, value):
    if isinstance(value, (float, np.floating)):
        return chars("name", name), dtype_code(name, "float32"), _abi.Value(real=value)
    kind = "bool" if isinstance(value, (bool, np.bool_)) else "int32"
    return chars("name", name), dtype_code(name, kind), _abi.Value(integer=_int32(name, value))


def _bindings(params, tensors, named):
    """Params and tensors by name, with those of `named` in the one their value belongs to."""
    named_tensors = {name: value for name, value in named.items() if is_array(value)}
    named_params = {name: value for name, value in named.items() if name not in named_tensors}
    names = [*params, *tensors, *named]
    for name in names:
        if names.count(name) > 1:
            raise Error("argument", f"'{name}' is given twice, among params, tensors and keywords")
    return {**params, **named_params}, {**tensors, **named_tensors}


@functools.lru_cache(maxsize=None)
def _default_engine():
    return Engine()


def entmax(x, alpha=1.5, *, output=None):
    """Engine.entmax on the default engine."""
    return _default_engine().entmax(x, alpha, output=output)


@functools.lru_cache(maxsize=64)
def _program(engine, text, storage, **spec):
    return Program(engine, text, storage=dict(storage), **spec)


def attention(text, q, k, v, *, statistic=False, lse=False, escort=False, sparsity=False, output=None, origin="<text>", attention=None, params={},
              tensors={}, **call):
    """One call from text to result on the default engine, whose latest programs are kept: Program.forward says what
    `call` may hold, Program what `statistic`, `lse` and `escort` add. With `sparsity` what Sparsity.read gives comes last."""
    own = {name: call.pop(name) for name in Program.forward.__kwdefaults__ if name in call}
    params, tensors = _bindings(params, tensors, call)
    for name, array in {**tensors, "q": q, "v": v}.items():
        check_array(name, array)
    given = {name for name, value in own.items() if value is not None}
    lengths = ("packed" if given & {"cu_seqlens_q", "cu_seqlens_k"} else
               "padded" if given & {"q_lens", "k_lens"} else "uniform")
    program = _program(
        _default_engine(), text, frozenset((name, array.dtype) for name, array in tensors.items()), dtype=q.dtype,
        head_dim=q.shape[-1], value_dim=v.shape[-1], output=output or q.dtype, lse=lse,
        statistic=statistic, escort=escort, sparsity=sparsity, lengths=lengths, origin=origin, attention=attention)
    if not sparsity:
        return program.forward(q, k, v, params=params, tensors=tensors, **own)
    batch = q.shape[0] if lengths != "packed" else own["cu_seqlens_q"].shape[0] - 1
    found = program.sparsity(batch, q.shape[1], k.shape[1], q.shape[2], k.shape[2])
    result = program.forward(q, k, v, params=params, tensors=tensors, sparsity=found, **own)
    return (*(result if isinstance(result, tuple) else (result,)), found.read())
