"""What the patterns of the catalogue mean, pair by pair, against the definitions of the papers that they come from.

The masks are those that `lacuna show` draws: the rectangles of its SVG, one cell a pair, and its FULL tiles.
"""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
LACUNA = os.environ.get("LACUNA_COMMAND", str(ROOT / "build" / "lacuna"))
SEED = int(os.environ.get("LACUNA_SEED", np.random.SeedSequence().entropy % 2**32))


def drawn(name, rows, keys, head=0, heads=1, params=None, **tensors):
    """The mask of one head, bool[rows, keys]."""
    with tempfile.TemporaryDirectory() as folder:
        svg = f"{folder}/p.svg"
        words = [LACUNA, "show", str(ROOT / "examples" / "patterns" / f"{name}.lac"), "--json", "--svg", svg, "--cells", "4096",
                 "--shape", f"H={heads},Nq={rows},Nk={keys}", "--head", str(head)]
        for param, value in (params or {}).items():
            words += ["--param", f"{param}={value}"]
        for tensor, array in tensors.items():
            np.save(f"{folder}/{tensor}.npy", array)
            words += ["--tensor", f"{tensor}={folder}/{tensor}.npy"]
        said = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        text = pathlib.Path(svg).read_text()
    mask = np.zeros((rows, keys), bool)
    for path in re.findall(r'fill-opacity=.*? d="(.*?)"', text):
        for x, y, width, height in np.array(re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)", path), int):
            mask[y:y + height, x:x + width] = True
    for i, line in enumerate(said["tiles"]):
        for j, state in enumerate(line):
            if state == "F":
                mask[i * said["tile_q"]:(i + 1) * said["tile_q"], j * said["tile_k"]:(j + 1) * said["tile_k"]] = True
    return mask


def pairs(rows, keys, rule):
    """rule(q, k) of every pair, the last query at the last key."""
    return np.array([[bool(rule(q, k)) for k in range(keys)] for q in range(keys - rows, keys)])


class Masks(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng([SEED, sum(map(ord, self.id()))])
        self.n = int(self.random.integers(70, 150))

    def integer(self, low, high):
        return int(self.random.integers(low, high))

    def check_mask(self, name, rule, rows=None, head=0, heads=1, params=None, **tensors):
        rows = rows or self.n
        seen = drawn(name, rows, self.n, head, heads, params, **tensors)
        with self.subTest(LACUNA_SEED=SEED, n=self.n, head=head, params=params):
            np.testing.assert_array_equal(seen, pairs(rows, self.n, rule))

    def test_radial(self):
        frame, reach = self.integer(5, 20), self.integer(3, 20)

        def rule(q, k):
            apart = abs(q // frame - k // frame)
            within = abs(q % frame - k % frame)
            return within < reach / 2 ** (int(np.floor(np.log2(apart))) if apart else 0)
        self.check_mask("radial", rule, params={"frame": frame, "reach": reach})

    def test_neighbourhood(self):
        # NATTEN: the `side` places of its dilation group that are nearest, without leaving the picture.
        width, side, dilation = self.integer(8, 14), 3, self.integer(1, 3)
        self.n = width * self.integer(7, 10)

        def axis(x, y, length):
            group = list(range(x % dilation, length, dilation))
            start = min(max(group.index(x) - side // 2, 0), len(group) - side)
            return y in group[start:start + side]
        self.check_mask("neighbourhood",
                        lambda q, k: axis(q // width, k // width, self.n // width) and axis(q % width, k % width, width),
                        params={"width": width, "side": side, "dilation": dilation})

    def test_swin(self):
        # The paper's way: roll the picture, cut it into windows, and separate what the roll brought together.
        width, shift, side = 8 * self.integer(1, 3), self.integer(0, 8), 8
        height = 8 * self.integer(1, 3)
        self.n = width * height
        region = lambda y, x: [sum(at >= edge for edge in (length - side, length - shift)) for at, length in ((y, height), (x, width))]
        window, part = {}, {}
        for y in range(height):
            for x in range(width):
                rolled = (y - shift) % height, (x - shift) % width
                window[y * width + x] = rolled[0] // side, rolled[1] // side
                part[y * width + x] = region(*rolled) if shift else 0
        self.check_mask("swin", lambda q, k: window[q] == window[k] and part[q] == part[k],
                        params={"width": width, "shift": shift}, bias=np.zeros((1, 15, 15), np.float32))

    def test_block_diffusion(self):
        size, half = self.integer(3, 20), self.n // 2
        self.n = 2 * half

        def rule(q, k):
            bq, bk, noisy_q, noisy_k = q % half // size, k % half // size, q < half, k < half
            return (bq == bk and noisy_q == noisy_k) or (bq > bk and noisy_q and not noisy_k) or \
                (bq >= bk and not noisy_q and not noisy_k)
        self.check_mask("block_diffusion", rule, params={"size": size})

    def test_hamming(self):
        codes = self.random.integers(-2**31, 2**31, (2, self.n)).astype(np.int32)
        most = self.random.integers(8, 24, self.n).astype(np.int32)
        self.check_mask("hamming", lambda q, k: k <= q and bin(int(codes[0, q] ^ codes[1, k]) % 2**32).count("1") <= most[q],
                        code_q=codes[0].reshape(1, 1, -1), code_k=codes[1].reshape(1, 1, -1), most=most.reshape(1, 1, -1))

    def test_trees(self):
        rows = self.integer(33, 64)
        cache, parent = self.n - rows, [self.integer(-1, token) if token else -1 for token in range(rows)]
        seen = np.eye(rows, 64, dtype=bool)
        for token in range(rows):
            if parent[token] >= 0:
                seen[token] |= seen[parent[token]]
        words = np.array([[sum(1 << i for i in range(32) if line[32 * w + i]) for w in (0, 1)] for line in seen])
        rule = lambda q, k: k < cache or seen[q - cache, k - cache]
        self.check_mask("speculative", rule, rows=rows, ancestor=seen)
        self.check_mask("tree_bits", rule, rows=rows, ancestors=words.astype(np.uint32).view(np.int32))

    def test_sparse_transformer(self):
        stride, columns, head = self.integer(4, 20), 3, self.integer(0, 2)
        self.check_mask("strided", lambda q, k: k <= q and ((q - k) % stride == 0 if head else q - k < stride), head=head, heads=2,
                        params={"stride": stride})
        self.check_mask("fixed", lambda q, k: k <= q and (q // stride == k // stride or k % stride in range(stride - columns, stride)),
                        params={"block": stride, "columns": columns})

    def test_longnet(self):
        segment, step, head = self.integer(10, 60), self.integer(1, 6), self.integer(0, 3)
        self.check_mask("longnet", lambda q, k: k <= q and q // segment == k // segment and q % step == k % step == head % step,
                        head=head, heads=3, params={"segment": segment, "step": step})

    def test_video(self):
        frame, reach = self.integer(5, 20), self.integer(1, 5)
        self.check_mask("video_frames", lambda q, k: 0 <= q // frame - k // frame < reach, params={"frame": frame, "reach": reach})
        text, near = self.integer(0, 9), self.integer(1, 4)
        for head in 0, 1:
            def rule(q, k):
                if max(q, k) >= self.n - text:
                    return True
                return min((q - k) % frame, (k - q) % frame) < near if head else abs(q - k) < reach * frame
            self.check_mask("video_heads", rule, head=head, heads=2, temporal=np.array([[False, True]]),
                            params={"frame": frame, "frames": reach, "reach": near, "text": text})

    def test_chosen(self):
        n, flip = self.n, lambda *shape: self.random.random(shape) < 0.4
        column, diagonal, per_query, table = flip(n), flip(n), flip(n, 3), flip(3, 3)
        self.check_mask("vertical_slash", lambda q, k: k <= q and (column[k] or diagonal[q - k]), column=column.reshape(1, 1, n),
                        diagonal=diagonal.reshape(1, 1, n))
        self.check_mask("moba", lambda q, k: k <= q and (k // 64 == q // 64 or per_query[q, k // 64]),
                        chosen=per_query.reshape(1, 1, n, 3))
        self.check_mask("index_blocks", lambda q, k: k <= q and (k // 128 == q // 128 or table[q // 64, k // 128]),
                        chosen=table.reshape(1, 1, 3, 3))
        kind = self.random.integers(0, 3, (2, 2)).astype(np.int32)
        self.check_mask("flex_block_mask", lambda q, k: (False, k <= q, True)[kind[q // 128, k // 128]], kind=kind.reshape(1, 1, 2, 2))
        tokens = flip(n, 160)
        words = np.packbits(tokens, axis=-1, bitorder="little").view("<i4")
        self.check_mask("selected_tokens", lambda q, k: k <= q and tokens[q, k], words=words.reshape(1, n, 5))

    def test_buckets(self):
        n = self.n
        ids = self.random.integers(0, 6, (2, 4, n)).astype(np.int32)
        self.check_mask("hashed_rounds", lambda q, k: k == q or k < q and any(ids[0, :, q] == ids[1, :, k]),
                        hq=ids[0].reshape(4, 1, 1, n), hk=ids[1].reshape(4, 1, 1, n))
        sets = [[set(self.random.permutation(32)[:4].tolist()) for _ in range(n)] for _ in range(2)]
        as_words = [np.array([sum(1 << i for i in one) for one in side], np.uint32).view(np.int32).reshape(1, 1, n) for side in sets]
        self.check_mask("routed", lambda q, k: k <= q and sets[0][q] & sets[1][k], clusters_q=as_words[0], clusters_k=as_words[1])

    def test_packed(self):
        n = self.n
        doc = np.sort(self.random.integers(0, 4, n)).astype(np.int32)
        answer = self.random.integers(0, 3, n).astype(np.int32)
        self.check_mask("shared_question", lambda q, k: k <= q and doc[q] == doc[k] and answer[k] in (0, answer[q]),
                        doc=doc[None], answer=answer[None])
        image = np.where(doc % 2, doc, 0).astype(np.int32)
        self.check_mask("images_in_text", lambda q, k: k <= q or image[q] and image[q] == image[k], image=image[None])
        entries, reach = self.integer(3, 20), self.integer(2, 20)
        chosen = self.random.random((n, n)) < 0.7

        def compressed(q, k):
            if k >= entries:
                return 0 <= q - k < reach
            return (k + 1) * 4 <= q - entries + 1 and chosen[q, k]
        self.check_mask("compressed", compressed, chosen=chosen[None], logit=np.zeros(1, np.float32),
                        params={"entries": entries, "reach": reach})


if __name__ == "__main__":
    unittest.main()
