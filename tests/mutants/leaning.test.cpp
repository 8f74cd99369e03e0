// O of one walk with the escort belongs to the gap that is stored, not to the one that weights were
// made with: gaps are put off between threshold and accumulate, and O is compared with f64 weights
// of exact thresholds. The same kernels without the correction are what shows that it is seen.
#include "runtime/engine.h"
#include "runtime/host/host_device.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/fuzz/random.h"
#include "tests/mutants/cases.h"
#include "tests/mutants/seeded.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>

namespace {

using namespace lacuna;

constexpr std::int64_t queries = 32, keys = 512, values = 32;

/// Flat rows, and V that rises with the scores of all of them in every second column, so that O
/// hangs on the gap.
tests::Case flat(double alpha) {
  return {.name = "leaning",
          .spec = {.pattern = Pattern::parse(
                       fmt::format("attention flat {{\n  weights entmax({})\n}}\n", alpha)),
                   .dtype = DType::f16,
                   .head_dim = 16,
                   .value_dim = values,
                   .output = DType::f32,
                   .statistic = true,
                   .escort = true},
          .schedule = "32x32w2s2",
          .shape = {1, 1, 1, queries, keys},
          .value = [](char matrix, std::int64_t row, int column, double drawn) {
            if (matrix == 'q') return column == 0 ? 1.0 : 0.125 * drawn;
            const auto along = static_cast<double>(row * 37 % keys) / keys - 0.5;
            if (matrix == 'k') return column == 0 ? 2 * along : drawn;
            return column % 2 == 0 ? along : 0.25 * drawn;
          }};
}

double element(const TensorView& view, std::int64_t i) {
  if (view.dtype == DType::f32) return static_cast<const float*>(view.data)[i];
  _Float16 value;
  std::memcpy(&value, static_cast<const std::byte*>(view.data) + 2 * i, 2);
  return static_cast<double>(value);
}

/// A row's scores times c, less the greatest; and its gap by bisection.
struct Row {
  Row(const Args& args, std::int64_t row, double c) : beta(1 / c) {
    for (std::int64_t k = 0; k < keys; ++k) {
      double dot = 0;
      for (std::int64_t d = 0; d < 16; ++d)
        dot += element(args.q, row * 16 + d) * element(args.k, k * 16 + d);
      below.push_back(c * dot / 4);
    }
    const double most = *std::max_element(below.begin(), below.end());
    for (double& x : below) x -= most;
    double low = 0, high = 1;
    for (int n = 0; n < 80; ++n) {
      const double t = (low + high) / 2;
      double sum = 0;
      for (const double x : below) sum += std::pow(std::max(0.0, x + t), beta);
      (sum < 1 ? low : high) = t;
    }
    gap = high;
  }
  /// The mean of a column of V, or of its size, by weights of a gap, or by their escort.
  double mean(const Args& args, std::int64_t column, double t, bool size = false,
              bool escort = false) const {
    double all = 0, sum = 0;
    for (std::int64_t k = 0; k < keys; ++k) {
      const double above = below[static_cast<std::size_t>(k)] + t;
      const double weight = above > 0 ? std::pow(above, escort ? beta - 1 : beta) : 0,
                   value = element(args.v, k * values + column);
      all += weight * (size ? std::fabs(value) : value);
      sum += weight;
    }
    return all / sum;
  }

  double beta, gap = 0;
  std::vector<double> below;
};

/// The largest that O was off, that O of the gaps put off would be, and stored gaps, relatively. By
/// how much O may be off because weights are rounded to f16. And how far the escort was from that
/// of the gaps put off, as a part of what rounding accounts for, and from that of the row.
struct Off {
  double o = 0, uncorrected = 0, gap = 0, rounded = 0, escort_rounded = 0, escort = 0;
};

Off run(double alpha, float x, const std::shared_ptr<const runtime::Compiler>& compiler,
        fuzz::Random& random) {
  const tests::Case which = flat(alpha);
  const auto engine = runtime::make_engine({}, runtime::host::open_host({}), compiler, {}, true);
  const auto planned = runtime::planned_of(plan::plan(
      which.spec,
      {.arch = engine->device->arch(), .schedule = plan::parse_schedule(which.schedule)}));
  const fuzz::OwnedCall owned = tests::call_of(which, random);
  const Args& args = owned.args;
  const ir::Call call = ir::bind(which.spec, args);
  const auto load = [&](std::size_t pass) {
    runtime::Compiled compiled = runtime::compiled_for(*engine, *planned, pass, {});
    return runtime::Loaded{compiled.pass, engine->device->load(compiled.artifact)};
  };
  const runtime::Loaded threshold = load(0), live_tiles = load(1), accumulate = load(2);
  REQUIRE(plan::takes_one_walk(accumulate.pass.machine, which.spec, accumulate.pass.schedule));
  const plan::EntmaxLayout layout =
      plan::entmax_layout(planned->plan, threshold.pass, accumulate.pass, call.shape, true, 0);
  std::vector<std::uint64_t> memory(layout.bytes / 8 + 2);
  const auto words = [&](std::uint64_t at) {
    return TensorView::contiguous(reinterpret_cast<std::byte*>(memory.data()) + at, DType::i32,
                                  {static_cast<std::int64_t>((layout.bytes - at) / 4)});
  };
  const runtime::Entmax entmax{layout, words(0)};
  runtime::launch(*engine, *planned, threshold, args, call, entmax, {}, nullptr, nullptr);
  for (const TilePhase phase : {TilePhase::order_rows, TilePhase::fill_rows}) {
    const runtime::Lists making{layout.live, words(layout.live_at), phase};
    runtime::launch(*engine, *planned, live_tiles, args, call, runtime::Splits{}, {}, nullptr,
                    &making);
  }
  auto* const gap = static_cast<float*>(args.gap.data);
  for (std::int64_t i = 0; i < queries; ++i) gap[i] *= i % 2 == 0 ? 1 + x : 1 - x;
  const std::vector<float> walked(gap, gap + queries);
  const runtime::Lists reading{layout.live, words(layout.live_at)};
  runtime::launch(*engine, *planned, accumulate, args, call, entmax, {}, nullptr, &reading);
  Off off;
  for (std::int64_t i = 0; i < queries; ++i) {
    const Row row(args, i, alpha - 1);
    off.gap = std::max(off.gap, std::fabs(gap[i] / row.gap - 1));
    for (std::int64_t column = 0; column < values; ++column) {
      const double exact = row.mean(args, column, row.gap);
      off.o = std::max(off.o, std::fabs(element(args.o, i * values + column) - exact));
      off.rounded = std::max(off.rounded, 0x1p-11 * row.mean(args, column, row.gap, true));
      const double escort = element(args.escort, i * values + column);
      off.escort =
          std::max(off.escort, std::fabs(escort - row.mean(args, column, row.gap, false, true)));
      off.escort_rounded =
          std::max(off.escort_rounded,
                   std::fabs(escort - row.mean(args, column, walked[static_cast<std::size_t>(i)],
                                               false, true)) /
                       (0x1p-11 * row.mean(args, column, row.gap, true, true) + 0x1p-16));
      off.uncorrected =
          std::max(off.uncorrected, std::fabs(row.mean(args, column, walked[i]) - exact));
    }
  }
  return off;
}

/// What is left of an error of the first order in x is x of it, a few times; many times where keys
/// on the threshold enter with a slope.
bool is_corrected(const Off& off, double x, double alpha) {
  return off.o <= off.uncorrected * (alpha == 2 ? 64 : 16) * x + off.rounded;
}

constexpr tests::Mutant mutants[] = {
    {"O stays at the gap of the walk", "weights/entmax.cuh", "leaning",
     "lean = norm.beta * ratio(moved - t, t);", "lean = 0.0f;", "value"},
    {"O leans the other way", "weights/entmax.cuh", "leaning",
     "lean = norm.beta * ratio(moved - t, t);", "lean = norm.beta * ratio(t - moved, t);", "value"},
    {"O leans without its power", "weights/entmax.cuh", "leaning",
     "lean = norm.beta * ratio(moved - t, t);", "lean = ratio(moved - t, t);", "value"},
    {"the sum of weights does not lean", "weights/entmax.cuh", "leaning",
     "fma_rn(total.w - total.f, end.lean, total.f)", "total.f", "value"},
    {"O leans towards its slopes alone", "flash_forward.cuh", "leaning",
     "fma_rn(slopes[c] - o[0][c], end.lean, o[0][c])", "fma_rn(slopes[c], end.lean, o[0][c])",
     "value"},
};

}  // namespace

TEST_CASE("entmax: O beside the escort belongs to the gap that is stored, and mutants do not",
          "[.][entmax]") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const EngineOptions named = EngineOptions::from_environment();
  const auto clang = std::make_shared<tests::Once>(runtime::open_llvm(named.llvm_library));
  for (const double alpha : {1.25, 1.5, 1.7, 2.0})
    for (const float x : {0x1p-8f, 0x1p-9f}) {
      const auto kernels = std::make_shared<tests::Seeded>(clang, nullptr);
      // A draw whose sums cancel has nothing to correct that roundings would not hide.
      Off off = run(alpha, x, kernels, random);
      for (int n = 0; n < 3 && off.uncorrected <= 2 * off.rounded; ++n)
        off = run(alpha, x, kernels, random);
      INFO("alpha " << alpha << ", gaps off by " << x << ": O off by " << off.o
                    << ", uncorrected by " << off.uncorrected << "; stored gaps by " << off.gap);
      CHECK(off.uncorrected > 2 * off.rounded);
      CHECK(is_corrected(off, x, alpha));
      CHECK(off.gap <= x / 4);
      // Where alpha is 2 a slope is 0 or 1, and on the threshold either.
      CHECK((alpha == 2 || off.escort_rounded <= 1));
      fmt::print(
          "alpha {}, gaps off by {:.1e}: O off by {:.1e}, uncorrected {:.1e}; gaps {:.1e}, escort "
          "{:.1e}\n",
          alpha, x, off.o, off.uncorrected, off.gap, off.escort);
    }
  for (const tests::Mutant& mutant : mutants) {
    const auto seeded = std::make_shared<tests::Seeded>(clang, &mutant);
    const Off off = run(1.5, 0x1p-8f, seeded, random);
    fmt::print("{:<52} O off by {:.1e}, uncorrected {:.1e}\n", mutant.name, off.o, off.uncorrected);
    INFO(mutant.name);
    CHECK_FALSE(is_corrected(off, 0x1p-8, 1.5));
  }
}
