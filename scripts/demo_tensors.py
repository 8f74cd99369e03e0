"""Writes the tensors of the demo: Q, K, V in f16, packed documents, one slope per head. The same seed, the same bytes."""

import pathlib
import sys

import numpy as np


def main(folder: pathlib.Path, batch=1, heads=4, kv_heads=2, length=1024, head_dim=64, documents=6, seed=20):
    random = np.random.default_rng(seed)

    def normal(*shape):
        return random.standard_normal(shape, dtype=np.float32).astype(np.float16)

    # Documents of random lengths, one after the other: doc[b, i] is the document that token i belongs to.
    starts = np.sort(random.choice(np.arange(1, length), (batch, documents - 1)), axis=1)
    doc = (np.arange(length)[None, :, None] >= starts[:, None, :]).sum(-1)
    arrays = {
        "q": normal(batch, heads, length, head_dim),
        "k": normal(batch, kv_heads, length, head_dim),
        "v": normal(batch, kv_heads, length, head_dim),
        "doc": doc.astype(np.int32),
        "slope": (2.0 ** -np.arange(1, heads + 1)).astype(np.float32),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        print(f"  {name}.npy  {array.dtype} {list(array.shape)}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
