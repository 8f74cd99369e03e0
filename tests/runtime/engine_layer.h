#pragma once
#include "compiler/ir/reference.h"
#include "runtime/program.h"
#include "tests/catch.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace lacuna::test {

inline constexpr int head_dim = 16;

/// Null, and a visible message, where liblacuna_llvm.so was not built.
inline std::shared_ptr<EngineState> host_engine(runtime::Pairing pairing, int threads = 0,
                                                const char* schedule = "32x32w2s1") {
  EngineOptions options = EngineOptions::from_environment();
  options.threads = threads;
  options.device = DeviceKind::host;
  options.schedule = schedule;  // many tiles in little time
  try {
    return runtime::open_engine(options, pairing);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    WARN("skipped: " << error.what());
    return nullptr;
  }
}

/// One layer: Q, K, V of its own, over documents that layers share.
class Layer {
 public:
  Layer(const Shape& shape, bool packed, std::mt19937& random) {
    std::uniform_real_distribution<float> value(-1, 1);
    const std::int64_t batch = packed ? 1 : shape.batch;
    const auto view = [&](std::vector<float>& data, std::int64_t heads, std::int64_t rows) {
      data.resize(static_cast<std::size_t>(batch * heads * rows * head_dim));
      for (float& x : data) x = value(random);
      return TensorView::contiguous(data.data(), DType::f32, {batch, heads, rows, head_dim});
    };
    args.q = view(q_, shape.heads, shape.queries);
    args.k = view(k_, shape.kv_heads, shape.keys);
    args.v = view(v_, shape.kv_heads, shape.keys);
    args.o = view(o_, shape.heads, shape.queries);
  }
  Layer(const Layer&) = delete;

  std::vector<float> forward(const Program& program, const Tiles* tiles = nullptr) {
    std::fill(o_.begin(), o_.end(), std::nanf(""));
    args.tiles = tiles;
    program.forward(args);
    return o_;
  }
  /// On the route without lists.
  std::vector<float> forward_plain(const Program& program) {
    std::fill(o_.begin(), o_.end(), std::nanf(""));
    runtime::forward(*program.state().engine, *program.state().planned, args, {}, nullptr,
                     plan::Route{});
    return o_;
  }
  void check(const Program& program, const std::vector<float>& o) {
    const ir::Reference expected = ir::forward(program.spec(), args);
    double worst = 0;
    for (std::size_t i = 0; i < o.size(); ++i)
      worst = std::max(worst, o[i] == o[i] ? std::abs(o[i] - expected.o[i]) : 1.0);
    // |v| <= 1: a rounding for each f32 step on the way to an element.
    CHECK(worst < static_cast<double>(head_dim + args.k.shape[2] + 32) * 0x1p-23);
  }

  Args args;

 private:
  std::vector<float> q_, k_, v_, o_;
};

/// Ascending, each kept for `most_kept` rows or so.
inline std::vector<std::int32_t> ids(std::size_t count, int most_kept, std::mt19937& random) {
  std::vector<std::int32_t> out(count);
  int id = 0;
  for (std::int32_t& each : out) each = id += random() % static_cast<unsigned>(most_kept) == 0;
  return out;
}

}  // namespace lacuna::test
