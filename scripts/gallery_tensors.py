"""For every pattern a shape, params, and tensors as a model could have them, at any length: what the gallery draws, and what
bench/tightness.py counts. Always the same bytes: integers and fractions that are exact, so that no library's logarithm moves a pixel."""

import zlib

import numpy as np

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


def picture(n, heads=1, params=None, head=0, shape=None, **tensors):
    return {"shape": shape or f"H={heads},N={n}", "params": params or {}, "head": head, "tensors": tensors}


def tree():
    """A draft of 32 tokens, each a child of an earlier one: its ancestors and itself."""
    r = random("tree")
    seen = np.eye(32, dtype=bool)
    for token in range(1, 32):
        seen[token] |= seen[r.randint(max(0, token - 6), token)]
    return seen


def topics(n, name, heads=1):
    return drifting(name, n, 8).reshape(1, heads, n)


def ranks(n, name):
    """Ranks by topic, then by time: what a stable sort gives."""
    order = np.argsort(drifting(name, n, 8), kind="stable")
    out = np.empty(n, np.int32)
    out[order] = np.arange(n)
    return out.reshape(1, 1, n)


def codes(n, name):
    """Hashes of 32 bits that differ little within a topic."""
    r = random(name)
    base = r.randint(0, 2, (8, 32)).astype(bool)
    return bits(base[drifting(name, n, 8)] ^ (r.random_sample((n, 32)) < 0.08)).reshape(1, 1, n)


def mixed_blocks(scale):
    """A FlexAttention block mask of documents: 1 where blocks of two documents meet, 2 inside one."""
    copies = np.repeat(np.arange(scale), 8) * 6
    first = np.tile([0, 0, 2, 2, 3, 3, 3, 5], scale) + copies
    last = np.tile([0, 2, 2, 3, 3, 3, 5, 5], scale) + copies
    meets = (first[:, None] <= last) & (last[:, None] >= first)
    inside = (first == last)[:, None] & (first == last)
    blocks = 8 * scale
    past = np.arange(blocks)[:, None] > np.arange(blocks)
    kind = np.where(meets & inside & past, 2, np.where(meets & (past | np.eye(blocks, dtype=bool)), 1, 0))
    return kind.astype(np.int32).reshape(1, 1, blocks, blocks)


def per_query(n, name, block, count):
    """For each query, `count` blocks of keys in its past; near queries like the same ones."""
    blocks = n // block
    liked = causal_blocks(name, blocks, count)
    return np.repeat(liked, block, 0).reshape(1, 1, n, blocks)


def static(scale, n):
    return {
        "causal": picture(n),
        "sliding_window": picture(n, params={"reach": 128}),
        "local_encoder": picture(n, params={"reach": 64}),
        "head_windows": picture(n, heads=3, head=1, left=np.array([64, 160, 400], np.int32), right=np.array([0, 32, 0], np.int32)),
        "streaming": picture(n, params={"reach": 128, "kept": 16}),
        "chunks": picture(n, params={"size": 128}, wide=np.array([False])),
        "dilated": picture(n, heads=2, head=1, params={"count": 24, "step": 8}),
        "longnet": picture(n, heads=2, head=1, params={"segment": 256, "step": 8}),
        "strided": picture(n, heads=2, head=1, params={"stride": 32}),
        "fixed": picture(n, params={"block": 64, "columns": 8}),
        "axial": picture(n, heads=2, head=1, params={"width": 32}),
        "head_stripes": picture(2 * n, heads=4, head=1, params={"near": 2, "step": 4}),
        "bigbird": picture(2 * n, drawn=chosen("bigbird", (1, 16 * scale, 16 * scale), 0.12 / scale)),
        "longformer": picture(n, params={"reach": 48}, token=marked(n, (0, 12), (200, 204), (390, 394))[None]),
        "video_frames": picture(n, params={"frame": 64, "reach": 4}),
        "causal_neighbourhood": picture(n, params={"width": 16, "height": 8, "frames": 2, "side": 5}),
        "neighbourhood": picture(n, params={"width": 32, "side": 7}),
        "sliding_tiles": picture(2 * n + 256 * scale, params={"across": 4, "down": 1, "side": 3}),
        "video_heads": picture(n, heads=2, head=1, params={"text": 32}, temporal=np.array([[False, True]])),
        "radial": picture(n, params={"frame": 32, "reach": 32}),
        "swin": picture(n, params={"width": 32, "shift": 4}),
        "block_diffusion": picture(n, params={"size": 32}),
    }


def per_call(scale, n):
    docs = runs(*[150, 90, 30, 170, 72] * scale)
    images = runs(*[60, 130, 50, 180, 92] * scale)
    copies = np.repeat(np.arange(scale, dtype=np.int32), 512)
    pictures = {
        "padding": picture(n, real=marked(n, (0, 350 * scale))[None]),
        "prefix_lm": picture(n, length=np.array([140 * scale], np.int32)),
        "documents": picture(n, doc=docs[None]),
        "local_docs": picture(n, params={"reach": 64}, doc=docs[None]),
        "prefix_documents": picture(n, doc=docs[None], prompt=np.tile(marked(512, (0, 60), (150, 200), (240, 250), (270, 370)), scale)[None]),
        "shared_question": picture(n, doc=((docs % 5 >= 2) + 2 * copies).astype(np.int32)[None],
                                   answer=np.tile(np.concatenate([runs(90, 60, 60, 30), runs(70, 80, 60, 62)]), scale)[None]),
        "demonstrations": picture(n, shot=runs(*[90, 60, 110, 100, 152] * scale)[None], last=np.array([5 * scale - 1], np.int32)),
        "images_in_text": picture(n, image=(images * np.array([0, 1, 0, 1, 0])[images % 5]).astype(np.int32)[None]),
        "cross_images": picture(n, shape=f"Nq={384 * scale},Nk={384 * scale}", begin=(runs(128, 128, 128) * 100 + 20).repeat(scale).astype(np.int32)[None] * scale,
                                end=np.array([120, 300, 384], np.int32)[runs(128, 128, 128)].repeat(scale)[None] * scale),
        "permutation": picture(n, rank=random("permutation").permutation(16 * scale)[runs(*[32] * 16 * scale)].astype(np.int32)[None] * 32
                               + (np.arange(n, dtype=np.int32) % 32)[None]),
        "speculative": picture(n, shape=f"Nq=32,Nk={80 * scale}", ancestor=tree()),
        "tree_bits": picture(n, shape=f"Nq=32,Nk={80 * scale}", ancestors=bits(tree())),
        "tree_paths": picture(n, chain=runs(256, 64, 64, 64, 64).repeat(scale)[None],
                              anchor=np.r_[np.arange(256 * scale), np.repeat([40, 100, 160, 250], 64 * scale) * scale].astype(np.int32)[None]),
        "block_table": picture(2 * n, live=causal_blocks("block_table", 8 * scale, 4).reshape(1, 1, 8 * scale, 8 * scale)),
        "flex_block_mask": picture(2 * n, kind=mixed_blocks(scale)),
    }
    if n <= 8192:
        pictures["boolean_mask"] = picture(n, visible=(np.add.outer(np.arange(n), np.arange(n)) // 48 % 3 == 0).reshape(1, 1, n, n))
    return pictures


def chosen_by_data(scale, n):
    clustered = np.sort(topics(n, "clusters"))
    pictures = {
        "dropped": picture(n, kept_q=np.repeat(chosen("dropped q", 32 * scale, 0.6), 16).reshape(1, 1, n),
                           kept_k=np.repeat(chosen("dropped k", 32 * scale, 0.5), 16).reshape(1, 1, n)),
        "expert_choice": picture(n, chosen=np.repeat(chosen("expert_choice", 64 * scale, 0.3), 8).reshape(1, 1, n)),
        "evicted": picture(n, params={"reach": 48}, kept=chosen("evicted", (1, 1, n), 0.06, likely=range(4))),
        "scheduled_eviction": picture(n, end=np.repeat(np.arange(0, n, 8) + random("end").randint(3, 20, 64 * scale) ** 2, 8).astype(np.int32).reshape(1, 1, n)),
        "hashed": picture(n, hq=topics(n, "hashed"), hk=topics(n, "hashed")),
        "hashed_rounds": picture(n, hq=np.stack([topics(n, f"round {i}") for i in range(4)]), hk=np.stack([topics(n, f"round {i}") for i in range(4)])),
        "reformer": picture(n, chunk=ranks(n, "reformer") // 64),
        "sorted_hashes": picture(n, rank_q=ranks(n, "sorted"), rank_k=ranks(n, "sorted")),
        "routed": picture(n, clusters_q=1 << topics(n, "routed"), clusters_k=1 << topics(n, "routed") | 1 << topics(n, "routed too")),
        "clusters": picture(n, of_q=clustered, of_k=clustered, live=chosen("live", (1, 1, 32, 32), 0.4)),
        "hamming": picture(n, code_q=codes(n, "hamming"), code_k=codes(n, "hamming"), most=np.full((1, 1, n), 8, np.int32)),
        "moba": picture(n, chosen=per_query(n, "moba", 64, 2)),
        "nsa_selected": picture(n, chosen=per_query(n, "nsa", 64, 3) | (np.arange(8 * scale) == np.arange(n)[:, None] // 64)),
        "infllm": picture(n, params={"near": 2}, chosen=per_query(n, "infllm", 64, 1)),
        "index_blocks": picture(2 * n, chosen=np.repeat(causal_blocks("index", 8 * scale, 2), 2, 0).reshape(1, 1, 16 * scale, 8 * scale)),
        "pages": picture(n, chosen=chosen("pages", (1, 1, n // 16), 0.25, likely=[0])),
        "vertical_slash": picture(n, column=chosen("column", (1, 1, n), 0.02 / scale, likely=range(3)),
                                  diagonal=(marked(n, (0, 24), (100, 108), (230, 236), (300, 304)).reshape(1, 1, n))),
        "dynamic_mask": picture(n, kept=np.repeat(chosen("dynamic", 128 * scale, 0.25), 4).reshape(1, 1, n)),
        "forgetting": picture(n, decay=np.cumsum(random("decay").randint(-6, 1, n) / 32, dtype=np.float32).reshape(1, 1, n),
                              params={"least": -12}),
    }
    if n <= 8192:  # a bit, or a byte for some keys, for each pair
        near = np.subtract.outer(np.arange(n), np.arange(n)) < 24
        pictures["selected_tokens"] = picture(n, words=bits(np.repeat(chosen("tokens", (64 * scale, n), 0.08, likely=range(2)), 8, 0)[None] | near))
        pictures["compressed"] = picture(n, shape=f"Nq={384 * scale},Nk={480 * scale}", params={"entries": 96 * scale, "reach": 64},
                                         chosen=np.repeat(chosen("entries", (24 * scale, 480 * scale), 0.35), 16, 0)[None])
    return pictures


def scores(scale, n):
    return {
        "alibi": picture(n),
        "t5_bias": picture(n),
        "softcap": picture(n, params={"reach": 256}),
        "sink_logit": picture(n, heads=2, params={"reach": 128}),
        "pair_bias": picture(n, real=marked(n, (0, 420 * scale))[None]),
        "scaled_rows": picture(n),
    }


def groups(scale=1):
    """At 512 * scale tokens, some twice as many; without those whose tensors have an element for each pair above 8192."""
    n = 512 * scale
    return {
        "Of the positions alone": static(scale, n),
        "Of what the call brings: lengths, ids, tables": per_call(scale, n),
        "Of what the data chose": chosen_by_data(scale, n),
        "Scores and weights": scores(scale, n),
    }
