// A bit of everything that is not arithmetic: loops of each lane's own length, a switch, local arrays, calls that are
// not inlined, shared and global atomics, votes, constant tables, 64-bit and narrow integers.
#include "device.h"
struct Params { const int* in; int* out; u32* total; int n; };
struct ALIGN(8) Pair { int steps; int peak; };
__constant__ int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
NOINLINE Pair collatz(u32 x) {
  Pair result = {0, 0};
  while (x != 1) {
    x = x & 1 ? 3 * x + 1 : x >> 1;
    ++result.steps;
    if ((int)(x & 0xffff) > result.peak) result.peak = (int)(x & 0xffff);
  }
  return result;
}
INLINE u32 ballot(bool p) {
  u32 r;
  asm volatile("{ .reg .pred %%q; setp.ne.u32 %%q, %1, 0; vote.sync.ballot.b32 %0, %%q, -1; }" : "=r"(r) : "r"((u32)p));
  return r;
}
KERNEL BOUNDS(128) mixture(const Params p) {
  __shared__ int count[4];
  __shared__ short history[128];
  const int t = thread(), i = (int)block() * 128 + t;
  if (t < 4) count[t] = 0;
  sync();
  const int x = i < p.n ? p.in[i] : 1;
  const Pair walk = collatz((u32)x);
  int local[16];
  for (int j = 0; j < 16; ++j) local[j] = j * x + walk.peak;
  int s = local[(x * 7 + walk.steps) & 15];
  history[t] = (short)walk.steps;
  const u32 odd = ballot(walk.steps & 1);
  if (walk.steps > 20) {
    asm volatile("red.add.u32 [%0], %1;" ::"l"(&count[walk.steps & 3]), "r"(1) : "memory");
  }
  sync();
  const int other = history[(t + 37) & 127];
  switch (x % 7) {
    case 0: s += other; break;
    case 1: s ^= other << 3; break;
    case 2: s -= other * table[other & 7]; break;
    case 3: s = (int)((long long)s * other >> 2); break;
    case 4: s = s / (other + 1); break;
    case 5: for (int j = 0; j < (other & 7); ++j) s = s * 3 + j; break;
    default: s = (int)((u32)s % (u32)(other + 5)); break;
  }
  int bits = 0;
  for (u32 m = odd; m; m &= m - 1) ++bits;
  if (i < p.n) p.out[i] = s + bits * 1000003 + count[t & 3];
  asm volatile("red.global.add.u32 [%0], %1;" ::"l"(p.total), "r"((u32)walk.steps) : "memory");
}
