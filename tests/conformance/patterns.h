#pragma once
#include <string>
#include <vector>

namespace lacuna::tests {

/// Every named pattern, and what users put around them.
inline const std::vector<std::string> patterns = {
    "",
    "mask causal",
    "mask causal\nmask window(37)",
    "param reach: i32 = 50\nmask band(-reach, reach)",
    "param far: i32 = 2147483600\nmask q + far <= k + far",  // wraps from the 48th position on
    "const n = 20\nmask causal or prefix(n)",
    "mask causal\nmask window(40) or sinks(4)",
    "tensor id: i32[batch, key]\nmask k < k_len and q >= 0 and q < k_len\nmask document(id)",
    "mask chunked(24)",
    "mask dilated(9, 3)",
    "tensor t: bool[batch, key]\nmask window(16) or (q >= 0 and q < k_len and global(t))",
    "tensor mq: bool[batch, head, query]\ntensor mk: bool[batch, head, key]\nmask keep(mq, mk)",
    "tensor hq: i32[batch, head, query]\ntensor hk: i32[batch, head, key]\nmask causal\nmask "
    "bucket(hq, hk)",
    "tensor slope: f32[head]\nmask causal\nscore score - slope[h] * f32(q - k)",
    "score softcap(score, 20.0)\nmask q != k",
    "tensor bias: f32[head, _, _]\nmask causal\nscore score + bias[h, min(abs(q - k), 3), 0]",
    "param s: f32 = 0.5\nmask k % 3 != 1\nweights softmax(sink = s)",
    "mask causal\nscore where(k % 5 == 0, -3.4e38, 1.0 / score)",
    "tensor s: f32[_]\nmask k < q_len\nweights softmax(sink = where(k_len > 5, s[2], 0.0))",
    "tensor n: i32[head]\nmask k < 8 * n[h]",
    // No number for rows of zeros, as absent ones are.
    "mask causal\nscore score + score / abs(score)",
    "score score + f32(-i32(k <= q or q - k < 7)) * 0.5",
    "tensor scale_k: f32[batch, kv_head, key]\ntensor scale_q: f32[batch, head, query]\n"
    "score score * scale_k[b, g, k] * scale_q[b, h, q]",
};

}  // namespace lacuna::tests
