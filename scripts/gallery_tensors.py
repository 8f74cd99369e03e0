"""What the gallery draws: for every pattern a shape, params, and tensors as a model could have them; always the same bytes:
integers and fractions that are exact, so that no library's logarithm moves a pixel."""

import zlib

import numpy as np

N = 512


def random(name: str):
    """A generator whose stream numpy promises to keep."""
    return np.random.RandomState(zlib.crc32(name.encode()))


def runs(*lengths):
    """0 0 0 1 1 2 ...: the number of the run that each position lies in."""
    return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)


def marked(n, *spans):
    """True in each [begin, end)."""
    out = np.zeros(n, bool)
    for begin, end in spans:
        out[begin:end] = True
    return out


def chosen(name, shape, share, likely=()):
    """A random choice of about `share`, and always those of `likely` along the last axis."""
    out = random(name).random_sample(shape) < share
    out[..., list(likely)] = True
    return out


def best(scores, count):
    """True at the `count` highest along the last axis."""
    order = np.argsort(-scores, axis=-1, kind="stable")[..., :count]
    out = np.zeros(scores.shape, bool)
    np.put_along_axis(out, order, True, -1)
    return out


def drifting(name, n, span):
    """Values 0..span-1 that tend to stay: the topics of a text."""
    r = random(name)
    changes = r.random_sample(n) < 0.04
    values = r.randint(0, span, n)
    return values[np.maximum.accumulate(np.where(changes, np.arange(n), 0))].astype(np.int32)


def bits(seen):
    """bool [..., n] as words of 32 bits."""
    words = seen.reshape(*seen.shape[:-1], -1, 32).astype(np.uint32) << np.arange(32, dtype=np.uint32)
    return words.sum(-1, dtype=np.uint32).view(np.int32)


def causal_blocks(name, blocks, count, share=1.0):
    """For each block of queries, `count` blocks of keys in its past; the near ones are likelier."""
    back = np.arange(blocks)[:, None] - np.arange(blocks)
    scores = random(name).random_sample((blocks, blocks)) - 0.03 * np.abs(back)
    return best(np.where(back >= 0, scores, -9), count) & (back >= 0)


def picture(n=N, heads=1, params=None, head=0, shape=None, **tensors):
    return {"shape": shape or f"H={heads},N={n}", "params": params or {}, "head": head, "tensors": tensors}


def tree():
    """A draft of 32 tokens, each a child of an earlier one: its ancestors and itself."""
    r = random("tree")
    seen = np.eye(32, dtype=bool)
    for token in range(1, 32):
        seen[token] |= seen[r.randint(max(0, token - 6), token)]
    return seen


def topics(name, heads=1):
    return drifting(name, N, 8).reshape(1, heads, N)


def ranks(name):
    """Ranks by topic, then by time: what a stable sort gives."""
    order = np.argsort(drifting(name, N, 8), kind="stable")
    out = np.empty(N, np.int32)
    out[order] = np.arange(N)
    return out.reshape(1, 1, N)


def codes(name):
    """Hashes of 32 bits that differ little within a topic."""
    r = random(name)
    base = r.randint(0, 2, (8, 32)).astype(bool)
    return bits(base[drifting(name, N, 8)] ^ (r.random_sample((N, 32)) < 0.08)).reshape(1, 1, N)


def mixed_blocks():
    """A FlexAttention block mask of documents: 1 where blocks of two documents meet, 2 inside one."""
    first, last = np.array([0, 0, 2, 2, 3, 3, 3, 5]), np.array([0, 2, 2, 3, 3, 3, 5, 5])
    meets = (first[:, None] <= last) & (last[:, None] >= first)
    inside = (first == last)[:, None] & (first == last)
    past = np.arange(8)[:, None] > np.arange(8)
    kind = np.where(meets & inside & past, 2, np.where(meets & (past | np.eye(8, dtype=bool)), 1, 0))
    return kind.astype(np.int32).reshape(1, 1, 8, 8)


def per_query(name, block, count):
    """For each query, `count` blocks of keys in its past; near queries like the same ones."""
    blocks = N // block
    liked = causal_blocks(name, blocks, count)
    return np.repeat(liked, block, 0).reshape(1, 1, N, blocks)


DOCS = runs(150, 90, 30, 170, 72)

STATIC = {
    "causal": picture(),
    "sliding_window": picture(params={"reach": 128}),
    "local_encoder": picture(params={"reach": 64}),
    "head_windows": picture(heads=3, head=1, left=np.array([64, 160, 400], np.int32), right=np.array([0, 32, 0], np.int32)),
    "streaming": picture(params={"reach": 128, "kept": 16}),
    "chunks": picture(params={"size": 128}, wide=np.array([False])),
    "dilated": picture(heads=2, head=1, params={"count": 24, "step": 8}),
    "longnet": picture(heads=2, head=1, params={"segment": 256, "step": 8}),
    "strided": picture(heads=2, head=1, params={"stride": 32}),
    "fixed": picture(params={"block": 64, "columns": 8}),
    "axial": picture(heads=2, head=1, params={"width": 32}),
    "head_stripes": picture(n=1024, heads=4, head=1, params={"near": 2, "step": 4}),
    "bigbird": picture(n=1024, drawn=chosen("bigbird", (1, 16, 16), 0.12)),
    "longformer": picture(params={"reach": 48}, token=marked(N, (0, 12), (200, 204), (390, 394))[None]),
    "video_frames": picture(params={"frame": 64, "reach": 4}),
    "causal_neighbourhood": picture(params={"width": 16, "height": 8, "frames": 2, "side": 5}),
    "neighbourhood": picture(params={"width": 32, "side": 7}),
    "sliding_tiles": picture(n=1280, params={"across": 4, "down": 1, "side": 3}),
    "video_heads": picture(heads=2, head=1, params={"text": 32}, temporal=np.array([[False, True]])),
    "radial": picture(params={"frame": 32, "reach": 32}),
    "swin": picture(params={"width": 32, "shift": 4}),
    "block_diffusion": picture(params={"size": 32}),
}
PER_CALL = {
    "padding": picture(real=marked(N, (0, 350))[None]),
    "prefix_lm": picture(length=np.array([140], np.int32)),
    "documents": picture(doc=DOCS[None]),
    "local_docs": picture(params={"reach": 64}, doc=DOCS[None]),
    "prefix_documents": picture(doc=DOCS[None], prompt=marked(N, (0, 60), (150, 200), (240, 250), (270, 370))[None]),
    "shared_question": picture(doc=(DOCS >= 2).astype(np.int32)[None],
                               answer=np.concatenate([runs(90, 60, 60, 30), runs(70, 80, 60, 62)])[None]),
    "demonstrations": picture(shot=runs(90, 60, 110, 100, 152)[None], last=np.array([4], np.int32)),
    "images_in_text": picture(image=(runs(60, 130, 50, 180, 92) * np.array([0, 1, 0, 1, 0])[runs(60, 130, 50, 180, 92)]).astype(np.int32)[None]),
    "cross_images": picture(shape="Nq=384,Nk=384", begin=(runs(128, 128, 128) * 100 + 20).astype(np.int32)[None],
                            end=np.array([120, 300, 384], np.int32)[runs(128, 128, 128)][None]),
    "permutation": picture(rank=random("permutation").permutation(16)[runs(*[32] * 16)].astype(np.int32)[None] * 32
                           + (np.arange(N, dtype=np.int32) % 32)[None]),
    "speculative": picture(shape="Nq=32,Nk=80", ancestor=tree()),
    "tree_bits": picture(shape="Nq=32,Nk=80", ancestors=bits(tree())),
    "tree_paths": picture(chain=runs(256, 64, 64, 64, 64)[None],
                          anchor=np.r_[np.arange(256), np.repeat([40, 100, 160, 250], 64)].astype(np.int32)[None]),
    "boolean_mask": picture(visible=(np.add.outer(np.arange(N), np.arange(N)) // 48 % 3 == 0).reshape(1, 1, N, N)),
    "block_table": picture(n=1024, live=causal_blocks("block_table", 8, 4).reshape(1, 1, 8, 8)),
    "flex_block_mask": picture(n=1024, kind=mixed_blocks()),
}
CHOSEN = {
    "dropped": picture(kept_q=np.repeat(chosen("dropped q", 32, 0.6), 16).reshape(1, 1, N),
                       kept_k=np.repeat(chosen("dropped k", 32, 0.5), 16).reshape(1, 1, N)),
    "expert_choice": picture(chosen=np.repeat(chosen("expert_choice", 64, 0.3), 8).reshape(1, 1, N)),
    "evicted": picture(params={"reach": 48}, kept=chosen("evicted", (1, 1, N), 0.06, likely=range(4))),
    "scheduled_eviction": picture(end=np.repeat(np.arange(0, N, 8) + random("end").randint(3, 20, 64) ** 2, 8).astype(np.int32).reshape(1, 1, N)),
    "hashed": picture(hq=topics("hashed"), hk=topics("hashed")),
    "hashed_rounds": picture(hq=np.stack([topics(f"round {i}") for i in range(4)]), hk=np.stack([topics(f"round {i}") for i in range(4)])),
    "reformer": picture(chunk=ranks("reformer") // 64),
    "sorted_hashes": picture(rank_q=ranks("sorted"), rank_k=ranks("sorted")),
    "routed": picture(clusters_q=1 << topics("routed"), clusters_k=1 << topics("routed") | 1 << topics("routed too")),
    "clusters": picture(of_q=np.sort(topics("clusters")), of_k=np.sort(topics("clusters")), live=chosen("live", (1, 1, 32, 32), 0.4)),
    "hamming": picture(code_q=codes("hamming"), code_k=codes("hamming"), most=np.full((1, 1, N), 8, np.int32)),
    "moba": picture(chosen=per_query("moba", 64, 2)),
    "nsa_selected": picture(chosen=per_query("nsa", 64, 3) | (np.arange(8) == np.arange(N)[:, None] // 64)),
    "infllm": picture(n=N, params={"near": 2}, chosen=per_query("infllm", 64, 1)),
    "index_blocks": picture(n=1024, chosen=np.repeat(causal_blocks("index", 8, 2), 2, 0).reshape(1, 1, 16, 8)),
    "selected_tokens": picture(words=bits(np.repeat(chosen("tokens", (64, N), 0.08, likely=range(2)), 8, 0)[None] |
                                          (np.subtract.outer(np.arange(N), np.arange(N)) < 24))),
    "compressed": picture(shape="Nq=384,Nk=480", params={"entries": 96, "reach": 64},
                          chosen=np.repeat(chosen("entries", (24, 480), 0.35), 16, 0)[None]),
    "pages": picture(n=N, chosen=chosen("pages", (1, 1, N // 16), 0.25, likely=[0])),
    "vertical_slash": picture(column=chosen("column", (1, 1, N), 0.02, likely=range(3)),
                              diagonal=(marked(N, (0, 24), (100, 108), (230, 236), (300, 304)).reshape(1, 1, N))),
    "dynamic_mask": picture(kept=np.repeat(chosen("dynamic", 128, 0.25), 4).reshape(1, 1, N)),
    "forgetting": picture(decay=np.cumsum(random("decay").randint(-6, 1, N) / 32, dtype=np.float32).reshape(1, 1, N),
                          params={"least": -12}),
}
SCORES = {
    "alibi": picture(),
    "t5_bias": picture(),
    "softcap": picture(params={"reach": 256}),
    "sink_logit": picture(heads=2, params={"reach": 128}),
    "pair_bias": picture(real=marked(N, (0, 420))[None]),
    "scaled_rows": picture(),
}
GROUPS = {
    "Of the positions alone": STATIC,
    "Of what the call brings: lengths, ids, tables": PER_CALL,
    "Of what the data chose": CHOSEN,
    "Scores and weights": SCORES,
}
