// The whole path on the host device with clang: text to checked attention.
#include "compiler/ir/half.h"
#include "compiler/ir/reference.h"
#include "runtime/engine.h"
#include "tests/catch.h"
#include "tests/runtime/cache_fixture.h"
#include "tests/runtime/random.h"

#include <cmath>
#include <limits>
#include <random>
#include <thread>

namespace {

using namespace lacuna;

/// Null, and a visible message, where liblacuna_llvm.so was not built.
std::shared_ptr<EngineState> host_engine(EngineOptions options = {}) {
  options.device = DeviceKind::host;
  options.llvm_library = EngineOptions::from_environment().llvm_library;
  try {
    return runtime::open_engine(options);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    WARN("skipped: " << error.what());
    return nullptr;
  }
}

/// A matrix [B, H, N, D] in memory of the order B N H D, with a gap behind each row that must stay
/// as it is.
class Matrix {
 public:
  static constexpr std::int64_t gap = 8;

  Matrix(DType dtype, std::int64_t b, std::int64_t h, std::int64_t n, std::int64_t d)
      : bytes_(static_cast<std::size_t>(b * h * n * (d + gap) * size_of(dtype)), std::byte{0xff}) {
    view = {bytes_.data(), dtype, 4, {b, h, n, d}, {n * h * (d + gap), d + gap, h * (d + gap), 1}};
    if (bytes_.empty()) view.data = nullptr;
  }
  Matrix(Matrix&&) = default;

  void fill(std::mt19937& random) {
    std::uniform_real_distribution<float> value(-1, 1);
    each([&](std::int64_t at) { set(at, value(random)); });
  }
  float get(std::int64_t at) const {
    const void* place = bytes_.data() + at * size_of(view.dtype);
    if (view.dtype == DType::f32) return *static_cast<const float*>(place);
    return ir::float_of_f16(*static_cast<const std::uint16_t*>(place));
  }
  void set(std::int64_t at, float value) {
    void* place = bytes_.data() + at * size_of(view.dtype);
    if (view.dtype == DType::f32)
      *static_cast<float*>(place) = value;
    else
      *static_cast<std::uint16_t*>(place) = ir::f16_of_float(value);
  }
  /// Visits the offset of every element, in row-major order of the view.
  template <typename Visit>
  void each(Visit visit) const {
    const auto& s = view.shape;
    for (std::int64_t i = 0; i < view.elements(); ++i) {
      std::int64_t d = i % s[3], n = i / s[3] % s[2], h = i / s[3] / s[2] % s[1],
                   b = i / s[3] / s[2] / s[1];
      visit(b * view.strides[0] + h * view.strides[1] + n * view.strides[2] + d);
    }
  }
  bool gaps_untouched() const {
    std::vector<std::byte> copy = bytes_;
    each([&](std::int64_t at) {
      std::fill_n(copy.begin() + at * size_of(view.dtype), size_of(view.dtype), std::byte{0xff});
    });
    return std::all_of(copy.begin(), copy.end(), [](std::byte b) { return b == std::byte{0xff}; });
  }

  TensorView view;

 private:
  std::vector<std::byte> bytes_;
};

struct Problem {
  Problem(const Spec& wanted, Shape shape, unsigned seed)
      : spec(wanted),
        q(spec.dtype, shape.batch, shape.heads, shape.queries, spec.head_dim),
        k(spec.dtype, shape.batch, shape.kv_heads, shape.keys, spec.head_dim),
        v(spec.dtype, shape.batch, shape.kv_heads, shape.keys, spec.value_dim),
        o(spec.dtype, shape.batch, shape.heads, shape.queries, spec.value_dim),
        lse(static_cast<std::size_t>(shape.batch * shape.heads * shape.queries),
            std::numeric_limits<float>::quiet_NaN()) {
    std::mt19937 random(seed);
    for (Matrix* matrix : {&q, &k, &v}) matrix->fill(random);
    args = {.q = q.view, .k = k.view, .v = v.view, .o = o.view};
    if (spec.statistic)
      args.lse =
          TensorView::contiguous(lse.data(), DType::f32, {shape.batch, shape.heads, shape.queries});
  }

  /// |v| <= 1, so that |o| <= 1: one rounding of o to its type, one of each weight to that of v,
  /// and of each f32 step on the way there.
  double bound() const {
    double steps = static_cast<double>(spec.head_dim + args.k.shape[2] + 32);
    return (spec.dtype == DType::f16 ? 2 * 0x1p-11 : 0) + steps * 0x1p-23;
  }

  void check() const {
    ir::Reference expected = ir::forward(spec, args);
    std::size_t i = 0, wrong = 0;
    o.each([&](std::int64_t at) { wrong += !(std::abs(o.get(at) - expected.o[i++]) <= bound()); });
    CHECK(wrong == 0);
    CHECK(o.gaps_untouched());
    if (!spec.statistic) return;
    for (i = 0, wrong = 0; i < lse.size(); ++i) {
      bool empty = std::isinf(expected.lse[i]);
      wrong +=
          empty ? lse[i] != expected.lse[i] : !(std::abs(lse[i] - expected.lse[i]) <= 8 * bound());
    }
    CHECK(wrong == 0);
  }

  Spec spec;
  Matrix q, k, v, o;
  std::vector<float> lse;
  Args args;
};

Spec window(DType dtype) {
  return {.pattern =
              Pattern::parse("attention near { param w: i32 = 20\n mask causal\n mask q - k < w }"),
          .dtype = dtype,
          .head_dim = 16,
          .value_dim = 24,
          .statistic = true};
}

TEST_CASE("text to checked attention on the host device, strided, padded and with empty rows") {
  auto state = host_engine();
  if (!state) return;
  unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (DType dtype : {DType::f32, DType::f16}) {
    Spec spec = window(dtype);
    spec.lengths = Lengths::padded;
    Problem problem(spec, {2, 4, 2, 37, 53}, random());
    std::vector<std::int32_t> q_lens = {37, static_cast<std::int32_t>(random() % 37)};
    std::vector<std::int32_t> k_lens = {static_cast<std::int32_t>(random() % 53), 53};
    problem.args.q_lens = TensorView::contiguous(q_lens.data(), DType::i32, {2});
    problem.args.k_lens = TensorView::contiguous(k_lens.data(), DType::i32, {2});
    NamedValue w{"w", static_cast<std::int32_t>(random() % 30)};
    problem.args.params = {&w, 1};
    Engine(state).program(spec).forward(problem.args);
    problem.check();
  }
}

TEST_CASE("without keys every row is empty: zeros and -inf") {
  auto state = host_engine();
  if (!state) return;
  Problem problem(window(DType::f32), {1, 2, 1, 5, 0}, 1);
  Engine(state).program(problem.spec).forward(problem.args);
  problem.o.each([&](std::int64_t at) { CHECK(problem.o.get(at) == 0); });
  for (float value : problem.lse) CHECK(value == -std::numeric_limits<float>::infinity());
}

TEST_CASE("a needed read outside a tensor is an error that names tensor, axis, index and place") {
  auto state = host_engine();
  if (!state) return;
  Spec spec = window(DType::f32);
  spec.pattern = Pattern::parse("attention a { tensor t: i32[_]\n mask t[q * 9 + k] == 0 }");
  Problem problem(spec, {1, 1, 1, 5, 9}, 1);
  std::vector<std::int32_t> zeros(44);
  NamedTensor t{"t", TensorView::contiguous(zeros.data(), DType::i32, {44})};
  problem.args.tensors = {&t, 1};
  problem.args.offset = 0;
  std::string message;
  try {
    Engine(state).program(spec).forward(problem.args);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    message = error.what();
  }
  CHECK(message == "tensor 't': axis 0: index 44 is outside 0..43, read at b=0 h=0 q=4 k=8");
}

TEST_CASE("threads share one program, each with its own call") {
  auto state = host_engine();
  if (!state) return;
  unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Program program = Engine(state).program(window(DType::f32));
  std::vector<Problem> problems;
  for (int i = 0; i < 4; ++i)
    problems.emplace_back(program.spec(), Shape{1, 2, 1, 20 + 7 * i, 30 + i}, seed + i);
  std::vector<std::thread> threads;
  for (Problem& problem : problems) threads.emplace_back([&] { program.forward(problem.args); });
  for (std::thread& thread : threads) thread.join();
  for (const Problem& problem : problems) problem.check();
}

TEST_CASE("a second engine runs the artifact of the first from disk") {
  test::TemporaryDirectory cache;
  for (int engine = 0; engine < 2; ++engine) {
    auto state = host_engine({.cache_dir = cache.path()});
    if (!state) return;
    Problem problem(window(DType::f32), {1, 1, 1, 9, 9}, 3);
    Engine(state).program(problem.spec).forward(problem.args);
    problem.check();
    CHECK(state->disk.stats().hits == static_cast<std::uint64_t>(engine));
  }
}

}  // namespace
