"""Q, K and V of entmax's cases, with torch or numpy: of two of the distributions of bench/entmax/distributions.h, which
says what they are of. Scores are to be divided by the square root of the head dimension; their deviation is 1."""
import numpy as np

TOPICS, SHARE = 64, 0.4  # of clustered keys, and of the variance that is a topic's


def topics(random, sequences, keys):
    """The topic of every key [sequences, keys]: passages of 32 keys and more, of 288 in the mean, are on one each."""
    found = np.empty((sequences, keys), np.int64)
    for row in found:
        first = 0
        while first < keys:
            end = first + 32 + int(random.geometric(1 / 257)) - 1
            row[first:end] = random.integers(TOPICS)
            first = end
    return found


def mix(own, common):
    return (1 - SHARE) ** 0.5 * own + SHARE ** 0.5 * common


def draw(backend, case):
    """q [batch, heads, queries, D], k and v [batch, kv_heads, keys, D] in the case's dtype: scores `iid`, normal whatever
    the position, or `clustered`, where queries are on the topic of their position too. Queries are the last ones."""
    b, h, g = (case[name] for name in ("batch", "heads", "kv_heads"))
    n, rows, d = case["keys"], case["queries"], case["head_dim"]
    q, k, v = (backend.randn(shape, "float32") for shape in ((b, g, h // g, rows, d), (b, g, n, d), (b, g, n, d)))
    if case["scores"] == "clustered":
        of = topics(np.random.default_rng(), b * g, n) + TOPICS * np.arange(b * g)[:, None]
        common = backend.randn((b * g * TOPICS, d), "float32")[backend.index(of.reshape(b, g, n))]
        k, q = mix(k, common), mix(q, common[:, :, None, n - rows:])
    return [backend.cast(x, case["dtype"]) for x in (q.reshape(b, h, rows, d), k, v)]


class Reference:
    """Some rows of one head in f64, their threshold found by bisection."""

    def __init__(self, backend, case, qkv, rows=16):
        random = np.random.default_rng()
        batch, self.head = int(random.integers(case["batch"])), int(random.integers(case["heads"]))
        self.backend, self.batch = backend, batch
        self.rows = sorted(set(int(row) for row in random.integers(case["queries"], size=rows)))
        kv = self.head // (case["heads"] // case["kv_heads"])
        q, k, v = (backend.numpy(x[batch, head]) for x, head in zip(qkv, (self.head, kv, kv)))
        self.o = np.array([self._row(case, q[row] @ k.T * case["head_dim"] ** -0.5, row, v) for row in self.rows])

    def _row(self, case, z, row, v):
        c = case["alpha"] - 1
        x = c * z[:case["keys"] - case["queries"] + row + 1]
        near = np.flatnonzero(x > x.max() - 1)  # the others weigh nothing
        x = x[near] - x.max()
        low, high = -1.0, 0.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if (np.maximum(x - middle, 0) ** (1 / c)).sum() > 1 else (low, middle)
        p = np.maximum(x - low, 0) ** (1 / c)
        return p / p.sum() @ v[near]

    def error(self, o):
        """The worst row's |O - reference| / |reference|."""
        o = self.backend.numpy(o[self.batch, self.head])[self.rows]
        return float((np.linalg.norm(o - self.o, axis=1) / np.linalg.norm(self.o, axis=1)).max())
