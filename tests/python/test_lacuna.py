"""The Python package against a reference in numpy: LACUNA_LIBRARY names the library, PYTHONPATH the package."""
import ctypes
import gc
import os
import pathlib
import re
import sys
import threading
import unittest
import unittest.mock

import numpy as np

import lacuna

SEED = int(os.environ.get("LACUNA_SEED") or np.random.SeedSequence().entropy % 2**32)
WINDOW = "attention near { param w: i32 = 20\n mask k <= q and q - k < w }"


def setUpModule():
    print(f"LACUNA_SEED={SEED}")


def reference(q, k, v, attends, scale=None):
    """O and lse of softmax in f64; attends(q, k) gives a boolean matrix of positions."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    z = np.einsum("bhqd,bhkd->bhqk", q, k) * (scale or q.shape[-1] ** -0.5)
    at = np.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
    z = np.where(attends(at, np.arange(k.shape[2])[None, :]), z, -np.inf)
    top = np.max(z, axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(z - np.where(np.isfinite(top), top, 0))
    total = weights.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = (np.log(total) + np.where(np.isfinite(top), top, 0))[..., 0]
    return np.einsum("bhqk,bhkd->bhqd", weights / np.where(total > 0, total, 1), v), lse


class Attention(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(SEED)

    def tensors(self, b=2, h=4, g=2, nq=37, nk=53, d=16, dv=24, dtype=np.float32):
        shapes = (b, h, nq, d), (b, g, nk, d), (b, g, nk, dv)
        return [self.random.uniform(-1, 1, shape).astype(dtype) for shape in shapes]

    def check(self, o, expected, keys):
        # |v| <= 1: the rounding of O to its type, and of each f32 step on the way there.
        bound = np.finfo(o.dtype).eps / 2 * (o.dtype != np.float32) + (keys + 64) * 2.0**-23
        self.assertLess(np.abs(o - expected).max(initial=0), bound)

    def test_window(self):
        for dtype in (np.float32, np.float16):
            q, k, v = self.tensors(dtype=dtype)
            w = int(self.random.integers(0, 40))
            o, lse = lacuna.attention(WINDOW, q, k, v, lse=True, w=w)
            expected, expected_lse = reference(q, k, v, lambda q, k: (k <= q) & (q - k < w))
            self.assertEqual(o.dtype, dtype)
            self.check(o, expected, 53)
            np.testing.assert_allclose(lse, expected_lse, atol=1e-4)

    def test_statistic(self):
        q, k, v = self.tensors()
        o, lse = lacuna.attention(WINDOW, q, k, v, lse=True)
        for same in (dict(statistic=True), dict(statistic=True, lse=True)):
            for mine, other in zip((o, lse), lacuna.attention(WINDOW, q, k, v, **same)):
                np.testing.assert_array_equal(mine, other)
        engine = lacuna.Engine()
        for text in (WINDOW, "attention a { weights entmax(1) }"):
            self.assertEqual(engine.program(text, q.dtype, 16).statistic, ())
            self.assertEqual(engine.program(text, q.dtype, 16, statistic=True).statistic, ("lse",))
        for text in ("attention a { weights entmax(1.5) }", "attention a { weights sparsemax }",
                     "attention a { param alpha: f32 = 1.0\n weights entmax(alpha) }"):
            with self.assertRaisesRegex(lacuna.Error, "^lse: entmax has none; statistic=True gives its zmax and gap$"):
                lacuna.attention(text, q, k, v, lse=True)

    def test_transposed_views(self):
        q, k, v = (np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for x in self.tensors())
        self.assertFalse(q.flags.c_contiguous)
        self.check(lacuna.attention(WINDOW, q, k, v), reference(q, k, v, lambda q, k: (k <= q) & (q - k < 20))[0], 53)
        backwards = k[:, :, ::-1], v[:, :, ::-1]
        self.check(lacuna.attention("attention all { }", q, *backwards), reference(q, *backwards, lambda q, k: k >= 0)[0],
                   53)

    def test_tensors_scale_and_offset(self):
        q, k, v = self.tensors(b=1, nq=53)
        for dtype in (np.int32, np.int64, np.int8):
            doc = np.sort(self.random.integers(0, 4, (1, 53))).astype(dtype)
            o = lacuna.attention("attention d { tensor doc: i32[batch, key]\n mask doc[b, q] == doc[b, k] }", q, k, v,
                                 scale=0.5, doc=doc, offset=0)
            self.check(o, reference(q, k, v, lambda q, k: doc[0][q] == doc[0][k], scale=0.5)[0], 53)

    def test_lengths(self):
        q, k, v = self.tensors(b=2, nq=9)
        k_lens = np.array([53, 20], np.int32)
        o = lacuna.attention("attention all { }", q, k, v, k_lens=k_lens)
        for b in range(2):
            keys = slice(0, k_lens[b])
            part = reference(q[b:b + 1], k[b:b + 1, :, keys], v[b:b + 1, :, keys], lambda q, k: k >= 0)[0]
            self.check(o[b:b + 1], part, 53)

    def test_empty(self):
        q, k, v = self.tensors(nk=0)
        o, lse = lacuna.attention(WINDOW, q, k, v, lse=True)
        self.assertTrue((o == 0).all() and (lse == -np.inf).all())
        self.assertEqual(lacuna.attention(WINDOW, q[:, :, :0], k, v).shape, (2, 4, 0, 24))

    def test_copies(self):
        """What a GPU needs, on the device at hand: inputs are written, outputs read back, all memory released."""
        q, k, v = self.tensors(dtype=np.float16)
        with unittest.mock.patch.object(lacuna._abi, "HOST", 0):
            o, lse = lacuna.attention(WINDOW, q[:, :, ::2], k, v, lse=True)
            with self.assertRaises(lacuna.Error):
                lacuna.attention(WINDOW, q, k[:, :1], v)
        expected, expected_lse = reference(q[:, :, ::2], k, v, lambda q, k: (k <= q) & (q - k < 20))
        self.check(o, expected, 53)
        np.testing.assert_allclose(lse, expected_lse, atol=1e-4)

    def test_foreign_arrays(self):
        q, k, v = self.tensors(nq=9, nk=9)
        text = "attention d { tensor doc: i32[batch, key]\n mask doc[b, q] == doc[b, k] }"
        arrays = dict(q=q, k=k, v=v, doc=np.zeros((2, 9), np.int32))
        lens = np.full(2, 9, np.int32)
        program = lacuna.Engine().program(text, q.dtype, 16, 24)
        for call in (lambda q, k, v, **named: lacuna.attention(text, q, k, v, **named), program.forward):
            call(**arrays)
            for name, array in arrays.items():
                with self.assertRaisesRegex(lacuna.Error, f"^{name}: the byte order of '"):
                    call(**{**arrays, name: array.astype(array.dtype.newbyteorder())})
            for name in "qkv":
                with self.assertRaisesRegex(lacuna.Error, f"^{name}: a list is no numpy array"):
                    call(**{**arrays, name: arrays[name].tolist()})
        for name in ("q_lens", "k_lens"):
            with self.assertRaisesRegex(lacuna.Error, f"^{name}: the byte order"):
                lacuna.attention(WINDOW, q, k, v, **{name: lens.astype(lens.dtype.newbyteorder())})
        with self.assertRaisesRegex(lacuna.Error, "^output: the byte order"):
            lacuna.attention(WINDOW, q, k, v, output=q.dtype.newbyteorder())

    def test_bindings(self):
        """Names that are also keywords of a call are bound by the mappings, and mean what the pattern says."""
        q, k, v = self.tensors(nq=53)
        keep = self.random.integers(0, 2, (2, 53)).astype(np.int32)
        keep[1] = keep[0]
        w = int(self.random.integers(1, 40))
        expected = reference(q, k, v, lambda q, k: (k <= q) & (q - k < w) & (keep[0][k] == 1), scale=0.5)[0]
        for param, tensor in [("scale", "offset"), ("offset", "q_lens"), ("params", "k_lens"), ("stream", "tensors"),
                              ("cu_seqlens_q", "origin"), ("lse", "text"), ("statistic", "zmax")]:
            text = (f"attention a {{ param {param}: i32\n tensor {tensor}: i32[batch, key]\n"
                    f" mask k <= q and q - k < {param} and {tensor}[b, k] == 1 }}")
            call = dict(scale=0.5, params={param: w}, tensors={tensor: keep})
            self.check(lacuna.attention(text, q, k, v, **call), expected, 53)
            self.check(lacuna.Engine().program(text, q.dtype, 16, 24).forward(q, k, v, **call), expected, 53)
        program = lacuna.Engine().program(WINDOW, q.dtype, 16, 24)
        mappings = dict(params={"w": 3}), dict(tensors={"w": keep})
        for twice in {**mappings[0], "w": 4}, {**mappings[1], "w": 4}, {**mappings[0], **mappings[1]}:
            for call in (program.forward, lambda *qkv, **named: lacuna.attention(WINDOW, *qkv, **named)):
                with self.assertRaisesRegex(lacuna.Error, "^'w' is given twice"):
                    call(q, k, v, **twice)

    def test_no_stream(self):
        """Results are read where the legacy stream has finished, so no call may go elsewhere."""
        q, k, v = self.tensors()
        program = lacuna.Engine(device="host").program(WINDOW, q.dtype, 16, 24)
        with self.assertRaisesRegex(lacuna.Error, "'stream'"):
            program.forward(q, k, v, stream=1)

    def test_programs_are_kept(self):
        q, k, v = self.tensors(nq=9)
        text = f"attention kept {{ param w: i32\n tensor t: i32[key]\n mask q - k < w and t[k] == 0 }} # {id(self)}"
        t, parse = np.zeros(53, np.int32), lacuna._abi.lib.lacuna_pattern_parse
        with unittest.mock.patch.object(lacuna._abi.lib, "lacuna_pattern_parse", side_effect=parse) as parses:
            for w in (3, 9, 27):
                o = lacuna.attention(text, q, k, v, w=w, t=t)
                self.check(o, reference(q, k, v, lambda q, k: q - k < w)[0], 53)
                self.check(lacuna.attention(text, q[:, :2], k[:, :1], v[:, :1], w=w, t=t, scale=0.1),
                           reference(q[:, :2], k[:, :1], v[:, :1], lambda q, k: q - k < w, scale=0.1)[0], 53)
            self.assertEqual(parses.call_count, 1)
            for n, other in enumerate([dict(t=t.astype(np.int8)), dict(t=t, lse=True), dict(t=t, output=np.float16),
                                       dict(t=t, k_lens=np.full(2, 53, np.int32)), dict(t=t, attention="kept")]):
                for _ in range(2):
                    lacuna.attention(text, q, k, v, w=5, **other)
                    self.assertEqual(parses.call_count, 2 + n)
            lacuna.attention(text + " ", q, k, v, w=5, t=t)
            self.assertEqual(parses.call_count, 7)
            for _ in range(2):  # a failure is not kept
                with self.assertRaises(lacuna.Error):
                    lacuna.attention("attention kept {", q, k, v)
            self.assertEqual(parses.call_count, 9)
        kept = lacuna._program.cache_info()
        self.assertLessEqual(kept.currsize, kept.maxsize)

    def test_declarations(self):
        """The whole width of every argument: what ctypes is told against what the header declares."""
        header = pathlib.Path(__file__).resolve().parents[2] / "include" / "lacuna" / "lacuna.h"
        functions = re.findall(r"LACUNA_API ([\w ]+\*?) (lacuna_\w+)\(([^)]*)\);", header.read_text())
        self.assertEqual(len(functions), header.read_text().count("\nLACUNA_API"))
        results = {"void": None, "const char*": ctypes.c_char_p, "lacuna_status": ctypes.c_int32}
        pointees = {"int32_t": ctypes.c_int32, "size_t": ctypes.c_size_t, "char*": ctypes.c_void_p}
        for struct in "EngineOptions", "Spec", "Shape", "Args", "Tensor":
            pointees["lacuna" + re.sub("[A-Z]", lambda m: "_" + m[0].lower(), struct)] = getattr(lacuna._abi, struct)
        for result, name, parameters in functions:
            function = getattr(lacuna._abi.lib, name)
            types = [re.sub(r"const |\s*\w+$", "", p.strip()) for p in parameters.split(",") if p.strip() != "void"]
            with self.subTest(name):
                self.assertIs(function.restype, results[result])
                self.assertIsNotNone(function.argtypes)
                self.assertEqual(len(function.argtypes), len(types))
                for given, declared in zip(function.argtypes, types):
                    pointee = declared[:-1]
                    if declared in ("size_t", "float"):
                        expected = {"size_t": ctypes.c_size_t, "float": ctypes.c_float}[declared]
                    elif declared == "char*":
                        expected = ctypes.c_void_p if name == "lacuna_string_free" else ctypes.c_char_p
                    elif pointee in pointees:
                        expected = ctypes.POINTER(pointees[pointee])
                    else:  # a handle or memory, or where one is given
                        expected = ctypes.POINTER(ctypes.c_void_p) if pointee.endswith("*") else ctypes.c_void_p
                    self.assertIs(given, expected, declared)

    def test_errors(self):
        q, k, v = self.tensors()
        for kind, words, call in [
            ("pattern", "windw", lambda: lacuna.attention("attention a { mask windw(3) }", q, k, v)),
            ("argument", "head", lambda: lacuna.attention(WINDOW, q[:, :3], k, v)),
            ("argument", "width", lambda: lacuna.attention(WINDOW, q, k, v, width=3)),
            ("argument", "does not fit", lambda: lacuna.attention(WINDOW, q, k, v, w=2**31)),
            ("argument", "'4' is no number", lambda: lacuna.attention(WINDOW, q, k, v, w="4")),
            ("argument", "scale: '4' is no number", lambda: lacuna.attention(WINDOW, q, k, v, w=4, scale="4")),
            ("argument", "head_dim", lambda: lacuna.Engine().program(WINDOW, q.dtype, 2**32 + 16)),
            ("argument", "cache_bytes", lambda: lacuna.Engine(cache_bytes=-1)),
            ("argument", "complex", lambda: lacuna.attention(WINDOW, q.astype(complex), k, v)),
            ("argument", "auto, host, cuda", lambda: lacuna.Engine(device="gpu")),
            ("argument", "stride", lambda: lacuna.attention(WINDOW, q[..., ::-1], k, v)),
            ("argument", "outside 0..2", lambda: lacuna.attention("attention a { tensor t: i32[3]\n mask t[k] == 0 }", q, k, v,
                                                       t=np.zeros(3, np.int32))),
        ]:
            with self.subTest(words), self.assertRaises(lacuna.Error) as caught:
                call()
            self.assertEqual(caught.exception.kind, kind, str(caught.exception))
            self.assertIn(words, str(caught.exception))

    def test_options(self):
        """Every field of the struct is taken by its name, and nothing else is."""
        header = pathlib.Path(__file__).resolve().parents[2] / "include" / "lacuna" / "lacuna.h"
        struct = re.search(r"struct lacuna_engine_options \{(.*?)\} lacuna", header.read_text(), re.DOTALL)[1]
        struct = re.sub(r"/\*.*?\*/", "", struct, flags=re.DOTALL)
        legal = re.findall(r"(\w+)(?=;|\)\()", struct)[1:]
        self.assertIn("log", legal)
        self.assertEqual(", ".join(legal), ", ".join(name for name, _ in lacuna._abi.EngineOptions._fields_[1:]))
        for name in "foo", "Threads", "struct", "size", "_fields_":
            with self.assertRaises(lacuna.Error) as caught:
                lacuna.Engine(**{name: 1})
            self.assertEqual(caught.exception.kind, "argument")
            self.assertIn(f"'{name}' is not one of {', '.join(legal)}", str(caught.exception))
        self.assertIn("host", str(lacuna.Engine(device="host", threads=1, ordinal=0)))

    def test_nul(self):
        """C would read such a text, name or path up to its NUL only, and take what is left for the whole."""
        q, k, v = self.tensors()
        text = "attention near { param w: i32\n tensor t: i32[key]\n mask q - k < w and t[k] == 0 }"
        t, engine = np.zeros(53, np.int32), lacuna.Engine(device="host")
        program = engine.program(text, q.dtype, 16, 24)
        program.forward(q, k, v, w=3, t=t)
        for what, at, call in [
            ("text", len(text), lambda: lacuna.attention(text + "\0 mask k == 0", q, k, v, w=3, t=t)),
            ("text", 0, lambda: engine.program("\0" + text, q.dtype, 16)),
            ("origin", 3, lambda: engine.program(text, q.dtype, 16, origin="lac\0")),
            ("attention", 4, lambda: engine.program(text, q.dtype, 16, attention="near\0er")),
            ("name", 1, lambda: engine.program(text, q.dtype, 16, storage={"t\0": "int8"})),
            ("name", 1, lambda: program.forward(q, k, v, params={"w\0": 3}, t=t)),
            ("name", 1, lambda: program.forward(q, k, v, params={"w\0": 3.0}, t=t)),
            ("name", 1, lambda: program.forward(q, k, v, w=3, tensors={"t\0": t})),
            ("cache_dir", 2, lambda: lacuna.Engine(cache_dir="ab\0c")),
        ]:
            with self.subTest(what), self.assertRaisesRegex(lacuna.Error, f"^{what}: character {at} is NUL"):
                call()
        with self.assertRaisesRegex(lacuna.Error, "^cache_dir: .* does not fit"):
            lacuna.Engine(cache_dir=b"ab\0c")

    def test_missing_dtypes(self):
        """Run without ml_dtypes imported, whether or not it is installed: numpy alone has no bfloat16."""
        self.assertNotIn("ml_dtypes", sys.modules)
        q, k, v = self.tensors()
        engine = lacuna.Engine(device="host")
        text = "attention a { tensor t: i32[key]\n mask t[k] == 0 }"
        for what, call in [
            ("dtype", lambda t: engine.program(WINDOW, t, 16)),
            ("output", lambda t: engine.program(WINDOW, q.dtype, 16, output=t)),
            ("output", lambda t: lacuna.attention(WINDOW, q, k, v, output=t)),
            ("t", lambda t: engine.program(text, q.dtype, 16, storage={"t": t})),
        ]:
            with self.assertRaisesRegex(lacuna.Error, f"^{what}: numpy has no dtype 'bfloat16'; ml_dtypes, .*provides"):
                call("bfloat16")
            with self.assertRaisesRegex(lacuna.Error, f"^{what}: numpy has no dtype 'float33'$"):
                call("float33")

    def test_ownership(self):
        q, k, v = self.tensors(nq=5, nk=5)
        lines = []
        for _ in range(5):
            engine = lacuna.Engine(device="host", log=lines.append, cache_dir="")
            program = engine.program(WINDOW, q.dtype, 16, 24)
            del engine
            gc.collect()
            expected = reference(q, k, v, lambda q, k: k <= q)[0]
            self.check(program.forward(q, k, v), expected, 5)
            program.close()
            program.close()
            with self.assertRaisesRegex(lacuna.Error, "null"):
                program.forward(q, k, v)
            with self.assertRaises(lacuna.Error):
                lacuna.Engine(device="host", llvm_library="/nowhere.so")
        self.assertTrue(lines)

    def test_program(self):
        engine = lacuna.Engine(device="host")
        program = engine.program(WINDOW, np.float16, 16)
        program.prepare()
        self.assertEqual(program.workspace(1, 1, 1, 9, 9), 0)
        self.assertIn("near", program.explain())
        self.assertIn("host", str(engine))
        self.assertTrue(any(line.startswith("host") for line in lacuna.devices()))
        self.assertEqual(lacuna.version(), "0.1.0")

    def test_tiles(self):
        text = """attention d { tensor doc: i32[batch, key] param w: i32 = 30
                                mask causal mask doc[b, q] == doc[b, k] or q - k < w }"""
        program = lacuna.Engine(device="host").program(text, np.float32, 16, 24)
        q, k, v = self.tensors(nq=150, nk=200)
        doc = np.sort(self.random.integers(0, 5, (2, 200))).astype(np.int32)
        memory = np.empty(program.tiles_bytes(2, 4, 2, 150, 200) + 16, np.uint8)
        memory = memory[-memory.ctypes.data % 16:]
        for given in (None, memory):
            tiles = program.tiles(q, k, doc=doc, memory=given)
            for w in (30, 45):
                if w != 30:
                    with self.assertRaisesRegex(lacuna.Error, "^tiles: made with param 'w' = 30, this call has 45"):
                        program.forward(q, k, v, doc=doc, w=w, tiles=tiles)
                    tiles.refresh(q, k, doc=doc, w=w)
                for scale in (None, 0.5):  # a layer's own; lists do not depend on it
                    own = program.forward(q, k, v, doc=doc, w=w, scale=scale)
                    shared = program.forward(q, k, v, doc=doc, w=w, scale=scale, tiles=tiles)
                    np.testing.assert_array_equal(own, shared)
                self.check_rows(tiles.read(), 150, 200, lambda b, q, k: (k <= q) & ((doc[b][q] == doc[b][k]) | (q - k < w)))
        with self.assertRaisesRegex(lacuna.Error, "^tiles: made for queries = 150, this call has 149"):
            program.forward(q[:, :, 1:], k, v, doc=doc, w=45, tiles=tiles)
        with self.assertRaisesRegex(lacuna.Error, "^tiles: a list is not"):
            program.forward(q, k, v, doc=doc, tiles=[])
        with self.assertRaisesRegex(lacuna.Error, "^tiles: memory: it has 8 bytes"):
            program.tiles(q, k, doc=doc, memory=memory[:8])
        tiles.close()
        with self.assertRaisesRegex(lacuna.Error, "^tiles: they are closed"):
            program.forward(q, k, v, doc=doc, tiles=tiles)
        with self.assertRaisesRegex(lacuna.Error, "^tiles: .*bands alone"):
            lacuna.Engine(device="host").program(WINDOW, np.float32, 16).tiles(q, k)

    def check_rows(self, read, rows, keys, attends):
        """The lists by tile of queries, against each pair."""
        step, width = read["tile_q"], read["tile_k"]
        self.assertEqual((read["list_batch"], read["list_heads"]), (2, 1))
        self.assertEqual(sorted(read["order"]), list(range(2 * read["q_tiles"])))
        for r, (full, partial) in enumerate(read["rows"]):
            b, first = r // read["q_tiles"], r % read["q_tiles"] * step
            q = np.arange(first, min(first + step, rows))[:, None] + keys - rows
            live = np.zeros((len(q), -(-keys // width) * width), bool)
            live[:, :keys] = attends(b, q, np.arange(keys)[None, :])
            tiles = live.reshape(len(q), -1, width)
            with self.subTest(LACUNA_SEED=SEED, row=r):
                np.testing.assert_array_equal(full, np.flatnonzero(tiles.all(axis=(0, 2))))
                np.testing.assert_array_equal(partial, np.flatnonzero(tiles.any(axis=(0, 2)) & ~tiles.all(axis=(0, 2))))

    def test_threads(self):
        program = lacuna.Engine().program(WINDOW, np.float32, 16, 24)
        problems = [self.tensors(nq=10 + i) for i in range(6)]
        results = [None] * len(problems)

        def work(i):
            results[i] = program.forward(*problems[i], w=i + 1)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(problems))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, (problem, o) in enumerate(zip(problems, results)):
            self.check(o, reference(*problem, lambda q, k: (k <= q) & (q - k < i + 1))[0], 53)


if __name__ == "__main__":
    unittest.main()
