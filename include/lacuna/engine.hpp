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
  bool statistic = false;                    ///< also write the row statistic (lse)
  Lengths lengths = Lengths::uniform;
  std::map<std::string, DType, std::less<>> storage = {};  ///< storage of a pattern's tensors; default: the declared type (bool: u8)
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

/// One call. Q [B,H,Nq,D], K [B,G,Nk,D], V [B,G,Nk,Dv], O [B,H,Nq,Dv], statistic f32 [B,H,Nq];
/// any strides with the last axis of Q, K, V, O contiguous. Nothing is owned.
struct Args {
  TensorView q, k, v, o;
  TensorView lse;                                 ///< required where Spec::statistic
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
};

/// A CUstream; null is the legacy default stream. The host device runs before it returns.
struct Stream {
  void* handle = nullptr;
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
  std::function<void(std::string_view)> log;  ///< one line per event, from the thread that caused it; empty: silent

  /// The defaults, with LACUNA_DEVICE, LACUNA_COMPILER, LACUNA_NVRTC, LACUNA_LLVM, LACUNA_CACHE_DIR (empty: off),
  /// LACUNA_CACHE_PATH (shared, ':'-separated), LACUNA_CACHE_BYTES, LACUNA_SCHEDULE, LACUNA_THREADS, LACUNA_VALIDATE, LACUNA_CHECK_MEMORY,
  /// LACUNA_LOG=1 applied.
  /// The only reader of the environment. cache_dir defaults to $XDG_CACHE_HOME/lacuna, then ~/.cache/lacuna.
  static EngineOptions from_environment();
};

/// A compiled pattern: cheap to copy, safe to share among threads.
class Program {
 public:
  /// Compiles and loads every variant now, so that no later call compiles (needed before graph capture).
  void prepare() const;
  /// Bytes of device memory that forward needs beside its arguments.
  std::size_t workspace(const Shape& shape) const;
  /// O = weights(scores) V, and lse on request. Throws Error{argument} before anything is written.
  void forward(const Args& args, Stream stream = {}) const;
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
  /// "host: 2 threads, llvm 19.1.7" or "cuda:0 NVIDIA H200 sm_90, nvrtc 13.0".
  std::string description() const;

  explicit Engine(std::shared_ptr<struct EngineState> state) : state_(std::move(state)) {}
  struct EngineState& state() const { return *state_; }

 private:
  std::shared_ptr<struct EngineState> state_;
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
