#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lacuna/error.hpp"
#include "lacuna/pattern.hpp"
#include "lacuna/tensor.hpp"

namespace lacuna {
inline namespace LACUNA_ABI {

/// How rows of a batch are laid out (design §2, Lengths).
enum class Lengths : std::uint8_t {
  uniform,  ///< every sequence has Nq queries and Nk keys
  padded,   ///< q_lens and/or k_lens i32[B]; rows beyond are absent
  packed,   ///< Q [1,H,Tq,D], K [1,G,Tk,D], with cu_seqlens_q and cu_seqlens_k i32[S+1]
};

/// What to compute, and nothing about how. Everything here is compiled into the kernel; every length,
/// batch, head count, stride, offset, scale and param is not (design §3).
struct Spec {
  Pattern pattern;
  DType dtype = DType::bf16;                 ///< of Q, K, V: f32, f16 or bf16
  int head_dim = 64;                         ///< D: a multiple of 8, 8..256
  int value_dim = 64;                        ///< Dv: a multiple of 8, 8..256
  std::optional<DType> output = {};          ///< of O; default: dtype
  bool statistic = false;                    ///< also write the row statistic: Args::lse, or Args::zmax and Args::gap
  bool escort = false;                       ///< entmax: also write Args::escort, which its gradient needs
  Lengths lengths = Lengths::uniform;
  std::map<std::string, DType, std::less<>> storage = {};  ///< storage of a pattern's tensors; default: the declared type (bool: u8)
  bool sparsity = false;                     ///< entmax: also write what it found and took into Args::sparsity; its kernels then count
  bool operator==(const Spec&) const = default;
};

/// The extents of one call. queries and keys are per sequence, or totals where lengths are packed
/// (batch is then the number of sequences).
struct Shape {
  std::int64_t batch = 1, heads = 1, kv_heads = 1, queries = 0, keys = 0;
  bool operator==(const Shape&) const = default;
};

struct NamedValue {
  std::string_view name;
  Literal value;
};
struct NamedTensor {
  std::string_view name;
  TensorView view;
};

class Tiles;
class Sparsity;

/// One call. Q [B,H,Nq,D], K [B,G,Nk,D], V [B,G,Nk,Dv], O [B,H,Nq,Dv], statistic f32 [B,H,Nq];
/// any strides with the last axis of Q, K, V, O contiguous. Nothing is owned.
struct Args {
  TensorView q, k, v, o;
  /// The statistic of each row, required where Spec::statistic. Softmax: lse, the log of the sum of exponentials of scores,
  /// -inf where no key answers. Entmax, unless its alpha is the constant 1: zmax, the largest score, and gap, alpha - 1 times
  /// the distance from zmax down to the threshold below which weights are 0, in (0,1]; where no key answers, -inf and 1. Where
  /// alpha is 1 when the call runs, rows are softmax's: zmax holds lse, and gap is 0. Other rows that are NaN have NaN in all.
  TensorView lse, zmax, gap;
  /// Σ_j s_j v_j / Σ_j s_j with s = p^(2 - alpha) where p > 0, the mean of V under the escort distribution of the weights
  /// (Blondel, Martins and Niculae 2020): shape and type of O, required where Spec::escort. The gradient of the scores is
  /// s ∘ (dP - dO·escort). Where alpha is 1 when the call runs it is O; where no key answers, 0.
  TensorView escort;
  std::span<const NamedValue> params = {};        ///< every param without default must be here
  std::span<const NamedTensor> tensors = {};      ///< every tensor of the pattern, by name
  std::optional<float> scale = {};                ///< default 1/sqrt(D)
  std::optional<std::int32_t> offset = {};        ///< q = i + offset; default k_len - q_len of the row's own sequence
  TensorView offsets;                             ///< instead of offset: i32, one per sequence
  TensorView q_lens, k_lens;                      ///< Lengths::padded, i32[B]; either may be absent
  TensorView cu_seqlens_q, cu_seqlens_k;          ///< Lengths::packed, i32[S+1]
  /// u8, at least Program::workspace(shape) bytes, on 16 bytes; without one the device lends memory in the order of
  /// the stream where a call needs some.
  TensorView workspace;
  /// Lists of tiles that were made before (Program::tiles), instead of making them anew; of softmax the call then needs no workspace.
  const Tiles* tiles = nullptr;
  /// What entmax found and took (Program::sparsity), required where Spec::sparsity. Every call writes it anew.
  const Sparsity* sparsity = nullptr;
};

/// A CUstream; null is the legacy default stream. The host device runs before it returns.
struct Stream {
  void* handle = nullptr;
};

/// Lists of tiles, copied to the host: tile i of queries of list (b, h) is rows[(b * list_heads + h) * q_tiles + i], and
/// names its tiles of keys, each ascending. Packed: sequence s owns the rows from cu_seqlens_q[s] / tile_q + s on.
struct TileRows {
  struct Row {
    std::vector<std::int32_t> full;     ///< every pair attends
    std::vector<std::int32_t> partial;  ///< some do
    bool operator==(const Row&) const = default;
  };
  std::int32_t tile_q = 0, tile_k = 0;          ///< queries and keys of a tile
  std::int32_t list_batch = 1, list_heads = 1;  ///< 1: one list for all sequences, for all heads; kv_heads: for each group of heads
  std::int32_t q_tiles = 0;                     ///< rows of a list
  std::vector<Row> rows;
  std::vector<std::int32_t> order;  ///< rows as they are worked on: longest first
};

/// Lists of tiles that outlive a call: which tiles of keys each tile of queries visits, made once from the masks and read by
/// any number of calls (Args::tiles), of the program that made them or of others on the same device with the same masks,
/// lengths, shape and tile, whatever they score, weigh and store. The params that the masks read, the offset, and which of
/// offsets, q_lens and k_lens are given must be the same, too; any difference is an Error{argument} that names it. What is in
/// tensors (of the masks, lengths, offsets) is not compared: where that has changed, refresh().
///
/// Lists are ready in the order of the stream on which they were made: a call on another stream must wait for that one first.
/// Any number of threads may read them while none refreshes. Copies share the lists; keep one until the calls that read them
/// have run, and as long as a graph does.
class Tiles {
 public:
  /// Makes the lists anew, in place: nothing is allocated, and a CUDA graph may record it. `args` as for Program::tiles, of the
  /// same shape; params and offset may differ. After an error of the device the lists are not to be read before another refresh.
  void refresh(const Args& args, Stream stream = {});
  /// The lists as they are once `stream` is done; it waits for that. For tools and tests.
  TileRows read(Stream stream = {}) const;
  /// Queries and keys of a tile, as the program that made them reads.
  int tile_q() const;
  int tile_k() const;

  explicit Tiles(std::shared_ptr<struct TilesState> state) : state_(std::move(state)) {}
  struct TilesState& state() const { return *state_; }

 private:
  std::shared_ptr<struct TilesState> state_;
};

/// What one call of entmax found, and took, copied to the host. Rows are those of Q: row i of head h of sequence b is
/// (b * heads + h) * queries + i; packed: h * queries + i of all sequences. Of absent rows, and where alpha
/// is 1, all is 0.
struct SparsityRows {
  std::vector<std::int32_t> passes;      ///< times K was walked for the row's tile of queries, threshold and accumulate together
  std::vector<std::int32_t> candidates;  ///< keys that the threshold was solved among in the end; 0 where they were too many, and all scores were
  std::vector<std::int32_t> support;     ///< keys above the threshold: those with a weight
  std::vector<float> residual;           ///< |F t^beta - 1| of the gap t before accumulate's last step, F = sum u^beta; of a NaN row NaN
  std::int32_t tile_q = 0, tile_k = 0;   ///< queries and keys of a tile, of accumulate
  std::int32_t q_tiles = 0;              ///< tiles of queries of a head: tile i is (b * heads + h) * q_tiles + i; packed: sequence s owns those from cu_seqlens_q[s] / tile_q + s on, of h * q_tiles
  std::vector<std::int32_t> live_tiles;  ///< of each tile of queries: tiles of keys that accumulate visits
  /// Keys that may have a weight in a row of a tile of queries: those of tile i are keys[offsets[i]] to keys[offsets[i + 1] - 1],
  /// ascending positions in its sequence. All that have one are there.
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> keys;
};

/// Memory of a device for what entmax finds and takes; made once for a shape and filled by each call whose Args name it, in the
/// order of its stream, which a CUDA graph may record. One call at a time; copies share the memory.
class Sparsity {
 public:
  /// Waits for `stream`, the one of the last call, and copies what that left. Throws Error{argument} before any call.
  SparsityRows read(Stream stream = {}) const;

  explicit Sparsity(std::shared_ptr<struct SparsityState> state) : state_(std::move(state)) {}
  struct SparsityState& state() const { return *state_; }

 private:
  std::shared_ptr<struct SparsityState> state_;
};

enum class DeviceKind : std::uint8_t { automatic, host, cuda };
enum class CompilerKind : std::uint8_t { automatic, nvrtc, llvm };

struct EngineOptions {
  DeviceKind device = DeviceKind::automatic;  ///< automatic: cuda where a GPU answers, else host
  int ordinal = 0;                            ///< which GPU
  CompilerKind compiler = CompilerKind::automatic;  ///< automatic: nvrtc on cuda, llvm on host
  std::string nvrtc_library;                  ///< a path to libnvrtc; empty: search
  std::string llvm_library;                   ///< a path to liblacuna_llvm.so; empty: search
  std::filesystem::path cache_dir;            ///< empty: no disk cache
  std::vector<std::filesystem::path> shared_cache_dirs;  ///< read-only, after cache_dir
  std::uint64_t cache_bytes = std::uint64_t{1} << 30;
  /// Tiles of flash forward by name, "128x64w4s2" (queries x keys, warps, stages), instead of the model's choice (decode keeps its own); what is
  /// not legal for a spec is an Error{unsupported} that names the limit. Empty: the model chooses.
  std::string schedule;
  int threads = 0;                            ///< of the host device; 0: all cores
  bool validate = false;                      ///< check values in device memory before a launch (always on for the host device)
  /// The host device looks for uninitialised values, races and missing waits in every kernel: it runs each launch four
  /// times, in several orders, and much slower. Takes the host device; Error{argument} with cuda.
  bool check_memory = false;
  std::function<void(std::string_view)> log;  ///< one line per event, from the thread that caused it or one that compiles for it; empty: silent

  /// The defaults, with LACUNA_DEVICE, LACUNA_COMPILER, LACUNA_NVRTC, LACUNA_LLVM, LACUNA_CACHE_DIR (empty: off),
  /// LACUNA_CACHE_PATH (shared, ':'-separated), LACUNA_CACHE_BYTES, LACUNA_SCHEDULE, LACUNA_THREADS, LACUNA_VALIDATE, LACUNA_CHECK_MEMORY,
  /// LACUNA_LOG=1 applied.
  /// The only reader of the environment. cache_dir defaults to $XDG_CACHE_HOME/lacuna, then ~/.cache/lacuna.
  static EngineOptions from_environment();
};

/// A compiled pattern: cheap to copy, safe to share among threads.
class Program {
 public:
  /// Compiles and loads every variant now, so that no later call compiles (needed before graph capture): as many at a
  /// time as there are cores, on threads of its own that have ended when it returns. Throws what the first to fail does.
  void prepare() const;
  /// Bytes of device memory that forward needs beside its arguments.
  std::size_t workspace(const Shape& shape) const;
  /// O = weights(scores) V, and the statistic on request. Throws Error{argument} before anything is written.
  void forward(const Args& args, Stream stream = {}) const;
  /// Bytes that tiles() needs at most for calls of this shape, with the scratch that refreshing takes. Throws Error{argument}
  /// where there is nothing to make: masks that are bands alone have their tiles in closed form.
  std::size_t tiles_bytes(const Shape& shape) const;
  /// Makes the lists of a call's tiles for later calls to share. Of `args` it takes the shapes of Q and K and all that masks
  /// read; V, O, the statistic, workspace and tiles may be absent. `memory`: u8, tiles_bytes(shape) of them on 16 bytes, which outlive
  /// the lists; without any the device lends some, which no stream may do while it records a graph. Throws Error{argument} as
  /// tiles_bytes does, and in checked mode where a read of the masks is not proved inside its tensor: such calls test each read where it is made.
  Tiles tiles(const Args& args, const TensorView& memory = {}, Stream stream = {}) const;
  /// Bytes of sparsity(shape): 16 for each row of Q, and 8 for each 32 keys of each tile of queries.
  std::size_t sparsity_bytes(const Shape& shape) const;
  /// Room for Args::sparsity in calls of this shape, of this program. Throws Error{argument} where the spec does not ask for it.
  Sparsity sparsity(const Shape& shape) const;
  /// The plan, as a database prints one: conjuncts with strategy and reason, passes, variants; with a shape also tiles.
  std::string explain(std::optional<Shape> shape = {}) const;
  const Spec& spec() const;

  explicit Program(std::shared_ptr<struct ProgramState> state) : state_(std::move(state)) {}
  struct ProgramState& state() const { return *state_; }

 private:
  std::shared_ptr<struct ProgramState> state_;
};

/// One device, one compiler, and the caches between them. Thread-safe; there may be several.
class Engine {
 public:
  explicit Engine(const EngineOptions& options = EngineOptions::from_environment());
  /// Plans the spec; kernels are compiled on first use or by Program::prepare.
  /// Throws Error{unsupported} where this device cannot, naming the limit.
  Program program(const Spec& spec) const;
  /// p = entmax(x) along the last axis, with alpha 1 (softmax) or from 1.01 to 2 (sparsemax): of each row
  /// p = [c x - tau]+^(1/c), c = alpha - 1, with the tau for which they sum to 1 (Peters, Niculae and Martins 2019).
  /// x: f16, bf16 or f32 of one axis or more, the last contiguous, the others with any strides; p: the same shape, one of
  /// these types; it is x itself, or shares no memory with it. Between them all is f32. A row of -inf alone gives zeros;
  /// one with a NaN or +inf gives NaN. Throws Error{argument} before anything is written.
  void entmax(const TensorView& x, const TensorView& p, float alpha = 1.5f, Stream stream = {}) const;
  /// "host: 2 threads, llvm 19.1.7" or "cuda:0 NVIDIA H200 sm_90, nvrtc 13.0".
  std::string description() const;

  explicit Engine(std::shared_ptr<struct EngineState> state) : state_(std::move(state)) {}
  struct EngineState& state() const { return *state_; }

 private:
  std::shared_ptr<struct EngineState> state_;
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
