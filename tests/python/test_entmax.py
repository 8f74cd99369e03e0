"""Entmax through the Python package, against a reference in numpy that finds thresholds by bisection."""
import os
import unittest

import numpy as np

import lacuna

SEED = int(os.environ.get("LACUNA_SEED") or np.random.SeedSequence().entropy % 2**32)


def setUpModule():
    print(f"LACUNA_SEED={SEED}")


def scores(q, k, v, attends):
    """z, -inf where a pair does not attend, and V of each head, in f64."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    at = np.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
    z = np.einsum("bhqd,bhkd->bhqk", q, np.repeat(k, group, axis=1)) * q.shape[-1] ** -0.5
    return np.where(attends(at, np.arange(k.shape[2])[None, :]), z, -np.inf), np.repeat(v, group, axis=1)


def entmax(z, v, alpha):
    """O, zmax and gap; alpha is a number, or one for each head."""
    zmax = np.max(z, axis=-1, keepdims=True, initial=-np.inf)
    none = ~np.isfinite(zmax)
    c = np.broadcast_to(np.asarray(alpha, np.float64), z.shape[1])[None, :, None, None] - 1
    below = c * (z - np.where(none, 0, zmax))
    low, high = np.zeros_like(zmax), np.ones_like(zmax)  # of the gap
    for _ in range(60):
        gap = (low + high) / 2
        over = (np.maximum(below + gap, 0) ** (1 / c)).sum(axis=-1, keepdims=True) > 1
        low, high = np.where(over, low, gap), np.where(over, gap, high)
    weights = np.where(none, 0, np.maximum(below + gap, 0) ** (1 / c))
    return weights @ v, zmax[..., 0], np.where(none, 1, gap)[..., 0]


def softmax(z, v):
    """O and lse."""
    weights = np.exp(z)
    return weights / weights.sum(axis=-1, keepdims=True) @ v, np.log(weights.sum(axis=-1))


class Entmax(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(SEED)

    def tensors(self, b=2, h=4, g=2, nq=37, nk=53, d=16, dv=24, dtype=np.float32):
        shapes = (b, h, nq, d), (b, g, nk, d), (b, g, nk, dv)
        return [self.random.uniform(-1, 1, shape).astype(dtype) for shape in shapes]

    def check(self, found, expected, beta=0):
        # Weights are in [0, 1] and sum to 1, |v| <= 1, |scores| <= 24. f32: gaps to 2^-20 of them, sums of 16 products,
        # and powers that are no products to 2^-21 β, `beta`. f16: weights and O are rounded to 2^-11 of them, gaps to 2^-12.
        o, zmax, gap = found
        half = o.dtype == np.float16
        np.testing.assert_allclose(o, expected[0], rtol=0, atol=2.0**-8 if half else 2e-5 + 2.0**-21 * beta)
        np.testing.assert_allclose(zmax, expected[1], rtol=0, atol=2e-5)
        np.testing.assert_allclose(gap, expected[2], rtol=2.0**-11 if half else 1e-5, atol=2e-5)

    def test_weights_and_statistic(self):
        for dtype in np.float32, np.float16:
            for spread, weights, alpha in [(1, "entmax(1.5)", 1.5), (6, "sparsemax", 2), (6, "entmax(1.25)", 1.25),
                                           (3, "entmax(1.7)", 1.7)]:
                q, k, v = self.tensors(nq=60, dtype=dtype)  # the first 7 queries have no key
                q *= np.asarray(spread, dtype)
                text = f"attention near {{ mask causal\n mask window(20)\n weights {weights} }}"
                program = lacuna.Engine().program(text, dtype, 16, 24, statistic=True)
                self.assertEqual(program.statistic, ("zmax", "gap"))
                with self.subTest(weights, dtype=dtype):
                    found = program.forward(q, k, v)
                    self.check(found, entmax(*scores(q, k, v, lambda q, k: (k <= q) & (q - k < 20)), alpha))
                    self.assertTrue((found[0][:, :, :7] == 0).all() and (found[1][:, :, :7] == -np.inf).all())
                    np.testing.assert_array_equal(lacuna.attention(text, q, k, v), found[0])

    def test_few_queries(self):
        """Whose keys are split."""
        q, k, v = self.tensors(h=6, nq=3, nk=1300)
        q *= 6
        found = lacuna.attention("attention a { mask causal\n weights entmax(1.5) }", q, k, v, statistic=True)
        self.check(found, entmax(*scores(q, k, v, lambda q, k: k <= q), 1.5))

    def test_matrix(self):
        for dtype in np.float32, np.float16:
            for alpha in 1, 1.25, 1.5, 1.7, 2:
                x = (3 * self.random.standard_normal((2, 3, 4, 260))).astype(dtype)[:, :, ::2]
                x[0, 0, 0], x[0, 1, 1, 5] = -np.inf, np.nan
                z = x.astype(np.float64)
                v = np.broadcast_to(np.eye(260), (2, 3, 260, 260))
                with np.errstate(invalid="ignore"):
                    expected = softmax(z, v)[0] if alpha == 1 else entmax(z, v, alpha)[0]
                expected[0, 0, 0], expected[0, 1, 1] = 0, np.nan
                with self.subTest(alpha=alpha, dtype=dtype):
                    p = lacuna.entmax(x, alpha)
                    self.assertEqual(p.dtype, dtype)
                    np.testing.assert_allclose(p, expected, rtol=0, atol=2.0**-11 if dtype == np.float16 else 1e-5)
                    wide = lacuna.entmax(x, alpha, output="float32")
                    np.testing.assert_allclose(wide, expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(lacuna.entmax(np.zeros(4, np.float32)), np.full(4, 0.25, np.float32))
        self.assertEqual(lacuna.entmax(np.zeros((3, 0), np.float32)).shape, (3, 0))
        row = np.float32([0, 0.1, 1])  # a number is whatever has the value of one
        np.testing.assert_array_equal(lacuna.entmax(row, np.array(1.25)), lacuna.entmax(row, 1.25))
        for x, alpha, expected in [(np.zeros(3, np.float32), 3, "alpha is 3"), (np.zeros(3, np.float32), "1.5", "alpha: '1.5' is no number"),
                                   (np.zeros(3, np.int32), 1.5, "dtype is i32"),
                                   (np.zeros((), np.float32), 1.5, "no axis"), (np.zeros((4, 4), np.float32).T, 1.5, "stride 4")]:
            with self.assertRaisesRegex(lacuna.Error, expected):
                lacuna.entmax(x, alpha, output="float32")

    def test_lists(self):
        """Of the tiles of any mask, then of what is live in them."""
        q, k, v = self.tensors(nq=200, nk=200)
        q *= 8
        doc = np.sort(self.random.integers(0, 4, (1, 200)).astype(np.int32))
        doc = np.concatenate([doc, doc])
        text = "attention d { tensor doc: i32[batch, key]\n mask causal\n mask document(doc)\n weights entmax(1.5) }"
        found = lacuna.attention(text, q, k, v, statistic=True, doc=doc)
        self.check(found, entmax(*scores(q, k, v, lambda q, k: (k <= q) & (doc[0][q] == doc[0][k])), 1.5))

    def test_alpha_of_a_call(self):
        """A param on its way down to softmax, and a tensor with an alpha for each head."""
        q, k, v = self.tensors()
        z, values = scores(q, k, v, lambda q, k: k <= q)
        text = "attention a {{ {} alpha: f32{}\n mask causal\n weights entmax(alpha{}) }}"
        param, tensor = text.format("param", "", ""), text.format("tensor", "[head]", "[h]")
        dense = softmax(z, values)
        for alpha in 2.0, 1.3, 1.01:
            self.check(lacuna.attention(param, q, k, v, statistic=True, alpha=alpha), entmax(z, values, alpha), 1 / (alpha - 1))
        o, zmax, gap = lacuna.attention(param, q, k, v, statistic=True, alpha=1.0)
        np.testing.assert_array_equal(o, lacuna.attention("attention a { mask causal }", q, k, v))
        self.check((o, zmax, gap), (*dense, np.zeros_like(dense[1])))
        self.assertTrue((gap == 0).all())
        alphas = np.array([1.5, 1.0, 2.0, 1.25], np.float32)
        found = lacuna.attention(tensor, q, k, v, statistic=True, alpha=alphas)
        for h, alpha in enumerate(alphas):
            one = slice(h, h + 1)
            expected = entmax(z[:, one], values[:, one], alpha) if alpha > 1 else (
                dense[0][:, one], dense[1][:, one], np.zeros_like(dense[1][:, one]))
            with self.subTest(alpha=alpha):
                self.check([x[:, one] for x in found], expected)

    def test_sparsity(self):
        """What a call found: keys with a weight of each row, and of each tile of queries those of its rows."""
        q, k, v = self.tensors(nq=150, nk=200)
        q *= 6
        z, values = scores(q, k, v, lambda q, k: k <= q)
        o, found = lacuna.attention("attention a { mask causal\n weights entmax(1.5) }", q, k, v, sparsity=True)
        _, zmax, gap = entmax(z, values, 1.5)
        x = 0.5 * (z - zmax[..., None]) + gap[..., None]
        self.assertTrue((found["support"] >= (x > 1e-5).sum(-1)).all() and (found["support"] <= (x > -1e-5).sum(-1)).all())
        self.assertEqual(found["passes"].shape, (2, 4, 150))
        self.assertTrue((found["passes"] >= 2).all() and (found["residual"] < 1e-3).all())
        lists = np.split(found["keys"], found["offsets"][1:-1])
        tiles = found["live_tiles"]
        self.assertEqual(len(lists), tiles.size)
        for i, keys in enumerate(lists):
            b, h, t = np.unravel_index(i, tiles.shape)
            rows = x[b, h, t * found["tile_q"]:(t + 1) * found["tile_q"]]
            self.assertTrue((np.diff(keys) > 0).all())
            self.assertTrue(set(np.flatnonzero((rows > 1e-5).any(0))) <= set(keys))
            self.assertTrue(set(keys) <= set(np.flatnonzero((rows > -1e-2).any(0))))
            self.assertEqual(len(np.unique(keys // found["tile_k"])), tiles[b, h, t])
        program = lacuna.Engine().program("attention a { weights sparsemax }", np.float32, 16, 24, sparsity=True)
        room = program.sparsity(2, 4, 2, 150, 200)
        with self.assertRaisesRegex(lacuna.Error, "holds nothing before a call"):
            room.read()
        program.forward(q, k, v, sparsity=room)
        self.assertTrue((room.read()["support"] >= 1).all())
        with self.assertRaisesRegex(lacuna.Error, "sparsity is missing"):
            program.forward(q, k, v)
        with self.assertRaisesRegex(lacuna.Error, "is not what Program.sparsity makes"):
            program.forward(q, k, v, sparsity=q)
        with self.assertRaisesRegex(lacuna.Error, "'a', which weighs by softmax"):
            lacuna.attention("attention a { mask causal }", q, k, v, sparsity=True)

    def test_escort(self):
        """The mean of V by p ** (2 - alpha), last of what a call gives; where alpha is 1 it is O."""
        q, k, v = self.tensors(b=1, h=2, g=2, dv=53)
        k, v = k[:, :, :53], np.broadcast_to(np.eye(53, dtype=np.float32), (1, 2, 53, 53)).copy()  # O holds the weights
        q *= 4
        v = np.pad(v, ((0, 0), (0, 0), (0, 0), (0, 3)))
        text = "attention a {{ {}\n mask causal\n weights entmax({}) }}"
        for alpha in 1.25, 1.5, 1.8:
            program = lacuna.Engine().program(text.format("", alpha), "float32", 16, 56, statistic=True, escort=True)
            o, zmax, gap, escort = program.forward(q, k, v)
            p = entmax(*scores(q, k, v, lambda q, k: k <= q), alpha)[0]
            s = np.where(p > 0, p, 1) ** (2 - alpha) * (p > 0)
            with self.subTest(alpha=alpha):
                np.testing.assert_allclose(o, p, rtol=0, atol=1e-5)
                # Near 0 the root of a weight is steep.
                np.testing.assert_allclose(escort, s / np.maximum(s.sum(-1, keepdims=True), 1e-30), rtol=0, atol=2e-3)
        program = lacuna.Engine().program(text.format("param alpha: f32", "alpha"), "float32", 16, 56, escort=True)
        o, escort = program.forward(q, k, v, alpha=1.0)
        np.testing.assert_array_equal(o, escort)
        with self.assertRaisesRegex(lacuna.Error, "escort, but a weighs by softmax"):
            lacuna.Engine().program("attention a { mask causal }", "float32", 16, 56, escort=True).forward(q, k, v)

    def test_nothing(self):
        for shape in (0, 3), (3, 0), (2, 0, 5):
            self.assertEqual(lacuna.entmax(np.zeros(shape, np.float32)).shape, shape)

    def test_refused(self):
        q, k, v = self.tensors()
        text = "attention a { param alpha: f32\n weights entmax(alpha) }"
        for alpha in 0.5, 1.001, 2.5, float("nan"):
            with self.subTest(alpha), self.assertRaisesRegex(lacuna.Error, "alpha"):
                lacuna.attention(text, q, k, v, alpha=alpha)


if __name__ == "__main__":
    unittest.main()
