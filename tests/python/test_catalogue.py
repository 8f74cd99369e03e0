"""docs/catalogue.md against the files that it lists, and the lines of Python that it gives."""

import pathlib
import re
import types
import unittest

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "catalogue.md").read_text()


class Catalogue(unittest.TestCase):
    def test_lists_every_file_and_no_other(self):
        listed = set(re.findall(r"examples/patterns/(\w+)\.lac", TEXT))
        self.assertEqual(listed, {file.stem for file in (ROOT / "examples" / "patterns").glob("*.lac")})

    def test_says_something_of_every_pattern_of_the_literature(self):
        rows = [int(number) for number in re.findall(r"^\| (\d+) \|", TEXT, re.M)]
        self.assertEqual(rows, [*range(1, 34), *range(40, 65)])

    def test_names_what_the_library_has(self):
        library = set(re.findall(r"^def (\w+)", (ROOT / "compiler" / "patterns.lac").read_text(), re.M))
        column = " ".join(line.split("|")[3] for line in re.findall(r"^\| \d+ \|.*", TEXT, re.M))
        named = set(re.findall(r"`(\w+)`", column)) - {"q_lens", "k_lens", "cu_seqlens_q", "cu_seqlens_k"}
        self.assertEqual(named, library)

    def test_a_block_mask_becomes_the_table_that_it_means(self):
        names = {"np": np}
        exec(re.search(r"```python\n(.*?)```", TEXT, re.S)[1], names)
        seed = np.random.SeedSequence().entropy
        want = np.random.default_rng(seed).integers(0, 3, (2, 3, 5, 7))

        def lists(kind):
            # Those that are meant first, then the others in any order, as FlexAttention has them.
            return (want == kind).sum(-1), np.argsort(want != kind, axis=-1, kind="stable").astype(np.int32)

        mask = types.SimpleNamespace()
        mask.kv_num_blocks, mask.kv_indices = lists(1)
        mask.full_kv_num_blocks, mask.full_kv_indices = lists(2)
        with self.subTest(seed=seed):
            np.testing.assert_array_equal(names["table_of"](mask), want)
        mask.full_kv_num_blocks = mask.full_kv_indices = None
        with self.subTest(seed=seed, full="none"):
            np.testing.assert_array_equal(names["table_of"](mask), want == 1)


if __name__ == "__main__":
    unittest.main()
