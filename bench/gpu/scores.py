"""Queries and keys for the probe, and the entmax threshold of their scores, in torch."""
import math

ROWS = 2048  # scores are worked out for so many queries at once


def iid(torch, heads, length, head_dim, device):
    """Scores are normal with deviation 1: supports of neighbouring rows have nothing in common."""
    return [torch.randn(heads, length, head_dim, device=device).bfloat16() for _ in range(2)]


def local(torch, heads, length, head_dim, device):
    """Scores fall with the distance, roughly by its logarithm, but for a sink at key 0 and noise of deviation 1/2: a
    plain dot product of position features, most of what a language model's heads look like."""
    pairs = head_dim // 4
    rates = math.pi / 2 ** torch.linspace(1, math.log2(4 * length), pairs, device=device)
    angles = torch.arange(length, device=device)[:, None] * rates
    position = torch.cat([angles.cos(), angles.sin()], dim=1)
    rest = head_dim - 2 * pairs - 1
    first = (torch.arange(length, device=device) == 0).float()
    features = position * (4 * math.sqrt(head_dim) / pairs) ** 0.5  # 4 at distance 0, once divided by sqrt(D)

    def make(sink):
        noise = torch.randn(heads, length, rest, device=device) * (0.5 * math.sqrt(head_dim / rest)) ** 0.5
        fixed = torch.cat([features, 2 * sink[:, None] * head_dim ** 0.25], dim=1).expand(heads, -1, -1)
        return torch.cat([fixed, noise], dim=2).bfloat16()

    return [make(torch.ones_like(first)), make(first)]


def chunks(torch, q, k, causal):
    """(head, rows, dot products in f32) with those of later keys at -1e30."""
    length = q.shape[1]
    for head in range(q.shape[0]):
        keys = k[head].float().T
        for first in range(0, length, ROWS):
            rows = slice(first, min(first + ROWS, length))
            seen = rows.stop if causal else length
            x = q[head, rows].float() @ keys[:, :seen]
            if causal:
                at = torch.arange(rows.start, rows.stop, device=q.device)[:, None]
                x.masked_fill_(torch.arange(seen, device=q.device)[None, :] > at, -1e30)
            yield head, rows, x


def thresholds(torch, q, k, causal):
    """(row maximum, threshold of 1.5-entmax, keys above it), of every row and in units of the dot product: with
    c = (alpha - 1) / sqrt(D), sum over j of (c (x_j - t))^2 = 1. Newton's steps on the root of that sum, from the left
    and therefore never past the solution."""
    c = 0.5 * q.shape[2] ** -0.5
    top, threshold, support = (torch.empty(q.shape[:2], device=q.device) for _ in range(3))
    for head, rows, x in chunks(torch, q, k, causal):
        best = x.amax(dim=1, keepdim=True)
        t = best - 1 / c
        for _ in range(12):
            above = (x - t).clamp_(min=0)
            first = above.sum(dim=1, keepdim=True)
            second = above.square_().sum(dim=1, keepdim=True)
            step = ((second - second.sqrt() / c) / first).clamp_(min=0)
            t = t + step
            if step.max() < 1e-4 / c:
                break
        top[head, rows], threshold[head, rows] = best[:, 0], t[:, 0]
        support[head, rows] = (x > t).sum(dim=1).float()
    return top, threshold, support


def counts(torch, q, k, gate, causal):
    """Scores at or above the gate of each row."""
    found = torch.empty(q.shape[:2], device=q.device)
    for head, rows, x in chunks(torch, q, k, causal):
        found[head, rows] = (x >= gate[head, rows, None]).sum(dim=1).float()
    return found
