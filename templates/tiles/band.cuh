// Closed-form key ranges. For queries in [q0, q1], a band  l.q q + l.k k + l.c <= r.q q + r.k k +
// r.c  leaves the keys
//   visit: those that some query may see,   full: those that every query sees.
#pragma once
#include "prelude.cuh"

namespace lacuna {

struct Range {
  s32 begin, end;
};

struct Tile {
  s32 q0, q1;  // positions of the first and last query
  s32 keys;    // keys are 0 .. keys-1
  Range visit, full;
};

struct Affine {
  s64 q, k, c;
  LACUNA_MEMBER s64 low(const Tile& t) const {
    return c + min_of(q * t.q0, q * t.q1) + min_of((s64)0, k * (t.keys - 1));
  }
  LACUNA_MEMBER s64 high(const Tile& t) const {
    return c + max_of(q * t.q0, q * t.q1) + max_of((s64)0, k * (t.keys - 1));
  }
};

LACUNA_DEVICE s64 floor_quotient(s64 a, s64 positive) {
  const s64 q = a / positive;
  return q - (a % positive < 0);
}

LACUNA_DEVICE s32 clamp_key(s64 key, s32 keys) {
  return (s32)max_of((s64)0, min_of(key, (s64)keys));
}

LACUNA_DEVICE void intersect(Range& range, s32 begin, s32 end) {
  range.begin = max_of(range.begin, begin);
  range.end = min_of(range.end, end);
}

// left <= right, or left < right where `strict`. The program's comparison wraps at 2^31; where a
// side leaves i32 inside the tile, the band says nothing: every key is visited and tested.
LACUNA_DEVICE void narrow(Tile& t, const Affine& left, const Affine& right, bool strict) {
  const s64 limit = 2147483647;
  if (t.q1 < t.q0 || left.low(t) < -limit - 1 || left.high(t) > limit || right.low(t) < -limit - 1 ||
      right.high(t) > limit) {
    t.full.end = t.full.begin;
    return;
  }
  const s64 q = left.q - right.q, k = left.k - right.k, c = left.c - right.c + (strict ? 1 : 0);
  const s64 least = c + min_of(q * t.q0, q * t.q1),
            most = c + max_of(q * t.q0, q * t.q1);  // least + k key <= 0
  if (k == 0) {
    if (least > 0) t.visit.end = t.visit.begin;
    if (most > 0) t.full.end = t.full.begin;
  } else if (k > 0) {
    intersect(t.visit, 0, clamp_key(floor_quotient(-least, k) + 1, t.keys));
    intersect(t.full, 0, clamp_key(floor_quotient(-most, k) + 1, t.keys));
  } else {
    intersect(t.visit, clamp_key(-floor_quotient(-least, -k), t.keys), t.keys);
    intersect(t.full, clamp_key(-floor_quotient(-most, -k), t.keys), t.keys);
  }
}

}  // namespace lacuna
