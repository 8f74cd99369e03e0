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

/// A divisor known when a kernel is launched: n / d = (n * multiplier / 2^32 + n) >> shift for n
/// below 2^31 (Granlund and Montgomery 1994).
struct Divisor {
  unsigned multiplier, shift;
};

/// Everything about a call that no kernel is specialised for.
struct CallArg {
  MatrixArg q, k, v, o;
  MatrixArg lse;              ///< f32 [B,H,Nq]; data 0: not wanted
  unsigned long long report;  ///< a Report; only read by code compiled with checks
  unsigned long long parts;  ///< what the splits of a row leave, as templates/parts.cuh lays it out
  IndexArg offsets;  ///< one per sequence; data 0: `offset` where has_offset, else k_len - q_len
  IndexArg q_lens, k_lens;  ///< padded: i32[B]; packed: cu_seqlens i32[S+1]
  int batch, heads, kv_heads;
  int queries, keys;  ///< per sequence, or totals where packed
  int q_tiles;        ///< tiles of query rows per head: of a sequence, or of all packed ones
  int offset, has_offset;
  float scale;
  int splits;  ///< so many CTAs share the keys of a query tile
  int group;   ///< heads that share K and V: heads / kv_heads
  Divisor by_q_tiles, by_heads, by_kv_heads, by_group, by_splits;
};

/// Which key tiles each tile of query rows visits; transposed, which row tiles visit a key tile.
/// There are list_batch * list_heads lists, of a row for each tile slot (templates/lengths.cuh):
/// row r is slot r % slots of list r / slots.
struct TileListArg {
  unsigned long long offsets;  ///< i32[2 rows + 1]: where row r begins at 2 r, and its PARTIAL
                               ///< tiles at 2 r + 1; last the total
  unsigned long long indices;  ///< i32: tiles of the sequence; FULL, then PARTIAL, each ascending
  unsigned long long order;    ///< i32[rows]: all rows, longest first; equals by row
  int list_batch, list_heads;  ///< 1: shared by all of them; kv_heads: by those that share K and V
};

/// What a pass that reads lists needs of them: a row of a list is worked on once for each head and
/// sequence that share it, one behind the other.
struct TileReadArg {
  TileListArg rows;
  int heads;   ///< so many share a list, side by side
  int copies;  ///< times as many sequences as do
  Divisor by_heads, by_copies, by_list_heads;
};

/// The rows of α-entmax: f32 [B,H,Nq], strides in elements (templates/weights/entmax.cuh); and the
/// escort, of the type of O [B,H,Nq,Dv], where the configuration says so.
struct EntmaxArg {
  MatrixArg zmax, gap, escort;
};

/// What the threshold pass leaves besides, and works with. `states` and `counts` are those of
/// TileBuildArg, for lists of one head and one sequence each.
struct ThresholdArg {
  EntmaxArg entmax;
  unsigned long long states;  ///< u32[rows][groups][2]: tiles with a live key, and FULL ones
  unsigned long long counts;  ///< u32[rows][2]: FULL, PARTIAL
  unsigned long long
      scratch;  ///< candidates of each CTA of the grid, as templates/gates.cuh lays them out
  unsigned long long queue;  ///< u32, 0 at the launch: the next tile of queries
  int groups;
  int blocks;  ///< tiles of queries: not the grid, whose CTAs take one after another
};

/// What materialise leaves of each row and split for gather (templates/materialise.cuh).
struct MaterialisedArg {
  EntmaxArg entmax;               ///< written where the call wants them
  unsigned long long candidates;  ///< {f32 score, i32 key}[rows][splits][room]
  unsigned long long found;       ///< {f32 top, f32 gap, i32 candidates, unused}[rows][splits]
  long long room;                 ///< keys of a split at most
};

/// Weights of rows by themselves (templates/entmax_rows.cuh). Of `x` and `p` the axes before the
/// last one, which is contiguous.
struct EntmaxRowsArg {
  TensorArg x, p;
  int rows, n;  ///< n: of a row
  float alpha;
  int unused;
};

/// What a call of α-entmax leaves for Sparsity (include/lacuna/engine.hpp), all of it 0 before.
struct SparsityArg {
  MatrixArg rows;            ///< a SparsityRow of each row of Q; strides in words
  unsigned long long tiles;  ///< u32[tiles of queries][2]: live tiles of keys, FULL and PARTIAL
  unsigned long long keys;   ///< u32[tiles of queries][key_words][2]: live keys, as states of tiles
                             ///< of one key, none of them FULL
  int key_words;             ///< of 32 keys
  int unused;
};
struct SparsityRow {
  int passes, candidates, support;
  float residual;
};

/// Candidates of a lane: so many of each of its rows, {score, key}; and before they are sorted out,
/// so many blocks of 2 rows and 2 keys, {4 scores or distances to the gate, key,
/// unused}.
constexpr int candidate_slots = 67, candidate_blocks = 24;
/// Of a row, a lane keeps so many: a list is full where it may not take another block.
constexpr int candidate_most = candidate_slots - 3;

/// What templates/tiles/lists.cuh does in one launch, in this order.
enum class TilePhase : int {
  summarise,         ///< a warp to a key tile: its spans
  summarise_groups,  ///< a warp to 32 of them: their hulls
  classify,          ///< TileBuildArg::parts warps to a row: states, and counts in place of
                     ///< rows.offsets
  order_rows,        ///< one CTA: rows.offsets, rows.order
  fill_rows,         ///< a warp to a row: rows.indices
  count_columns,     ///< the same for the transpose, a warp to 32 key tiles
  order_columns,
  fill_columns,
};
/// Threads of a CTA of every phase, and its shared memory.
constexpr int tile_list_threads = 512, tile_list_shared_bytes = 16576;

/// How lists are built. CallArg::q_tiles counts the slots of a list; all addresses lie on 8 bytes.
struct TileBuildArg {
  TileListArg rows, columns;
  unsigned long long spans;   ///< u32[key values][lists * k_tiles][2], then those of groups,
                              ///< u32[key values][lists * k_groups][2]
  unsigned long long states;  ///< u32[rows][groups][2]: a bit for each of 32 key tiles, visited and
                              ///< FULL
  unsigned long long order;   ///< i32[most of rows and columns]: the other buffer of a sort
  int k_tiles, k_groups;      ///< slots of key tiles, and of groups of 32 of them, of a list
  int groups;                 ///< of a row of states
  int capacity;               ///< of indices
  int phase;                  ///< a TilePhase
  int parts;                  ///< warps of a CTA that classify a row together
};

}  // namespace lacuna
