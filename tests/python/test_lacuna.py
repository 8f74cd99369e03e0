"""The Python package against a reference in numpy: LACUNA_LIBRARY names the library, PYTHONPATH the package."""
import gc
import os
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

    def test_errors(self):
        q, k, v = self.tensors()
        for kind, words, call in [
            ("pattern", "windw", lambda: lacuna.attention("attention a { mask windw(3) }", q, k, v)),
            ("argument", "head", lambda: lacuna.attention(WINDOW, q[:, :3], k, v)),
            ("argument", "width", lambda: lacuna.attention(WINDOW, q, k, v, width=3)),
            ("argument", "does not fit", lambda: lacuna.attention(WINDOW, q, k, v, w=2**31)),
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
