// What the host packs and the device unpacks: the only file that both worlds include. Generated
// code static_asserts the sizes that the host computed. Plain integers only, the same on both
// sides.
#pragma once

namespace lacuna {

/// A tensor of the pattern. `data` is an address, strides count elements, an axis beyond the rank
/// has extent 1.
struct TensorArg {
  unsigned long long data;
  long long stride[6];
  int extent[6];
};

/// Where generated code, compiled with checks, records the first needed read outside its tensor.
struct Report {
  int found;   ///< 0: nothing
  int tensor;  ///< index into the pattern's tensors
  int axis;
  int index;  ///< as computed; on a query axis the row, offset subtracted
  int extent;
  int site[4];  ///< b, h, q, k
};

/// One vector of i32 in device memory: lengths, offsets, cu_seqlens. data 0: absent.
struct IndexArg {
  unsigned long long data;
  long long stride;
};

/// Q, K, V or O: strides of batch, head and row in elements; the last axis is contiguous.
struct MatrixArg {
  unsigned long long data;
  long long batch, head, row;
};

/// Everything about a call that no kernel is specialised for.
struct CallArg {
  MatrixArg q, k, v, o;
  MatrixArg lse;              ///< f32 [B,H,Nq]; data 0: not wanted
  unsigned long long report;  ///< a Report; only read by code compiled with checks
  unsigned long long parts;   ///< what the splits of a row leave, as templates/parts.cuh lays it out
  IndexArg offsets;  ///< one per sequence; data 0: `offset` where has_offset, else k_len - q_len
  IndexArg q_lens, k_lens;  ///< padded: i32[B]; packed: cu_seqlens i32[S+1]
  int batch, heads, kv_heads;
  int queries, keys;  ///< per sequence, or totals where packed
  int q_tiles;        ///< tiles of query rows per head: of a sequence, or of all packed ones
  int offset, has_offset;
  float scale;
  int splits;  ///< so many CTAs share the keys of a query tile
};

}  // namespace lacuna
