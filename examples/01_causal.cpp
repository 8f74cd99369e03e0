// Causal attention: from two lines of text to a checked result.
//
//   build/examples/01_causal
#include "lacuna/lacuna.hpp"

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

namespace {

// What row `q` must be, written as one would on paper: O_q = Σ_{k <= q} softmax(q·k / sqrt(D)) v_k.
double by_hand(const std::vector<float>& q, const std::vector<float>& k,
               const std::vector<float>& v, int row, int d) {
  double sum = 0, weighted = 0;
  for (int key = 0; key <= row; ++key) {
    double dot = 0;
    for (int i = 0; i < d; ++i) dot += double(q[row * d + i]) * k[key * d + i];
    const double weight = std::exp(dot / std::sqrt(double(d)));
    sum += weight;
    weighted += weight * v[key * d];
  }
  return weighted / sum;
}

}  // namespace

int main() try {
  using namespace lacuna;

  // 1. Which query may look at which key. `causal` is a named pattern: k <= q.
  const Pattern pattern = Pattern::parse(R"(
attention causal_lm {
  mask causal
}
)");

  // 2. What to compile: pattern, dtype, head dimensions. No length, batch or stride is part of it.
  const Spec spec = {.pattern = pattern, .dtype = DType::f32, .head_dim = 64, .value_dim = 64};

  // 3. A device and a compiler. These tensors lie in host memory, so the device is the host; with a
  // GPU leave `device`
  //    alone, and pass addresses of its memory.
  EngineOptions options = EngineOptions::from_environment();
  options.device = DeviceKind::host;
  const Engine engine(options);
  const Program program = engine.program(spec);
  std::printf("%s\n", engine.description().c_str());

  // 4. Tensors are borrowed views: two heads of 100 rows.
  const int heads = 2, n = 100, d = 64;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(heads * n * d), k(q.size()), v(q.size()), o(q.size());
  for (auto* tensor : {&q, &k, &v})
    for (float& x : *tensor) x = normal(random);
  auto view = [&](std::vector<float>& data) {
    return TensorView::contiguous(data.data(), DType::f32, {1, heads, n, d});
  };

  // 5. The kernel is compiled here, once, and taken from a cache ever after.
  program.forward({.q = view(q), .k = view(k), .v = view(v), .o = view(o)});

  const int row = 41;
  const double expected = by_hand(q, k, v, row, d), got = o[row * d];
  std::printf("o[0, 0, %d, 0] = %.6f, by hand %.6f\n", row, got, expected);
  return std::abs(got - expected) < 1e-5 ? 0 : 1;
} catch (const lacuna::Error& error) {
  std::fprintf(stderr, "%s\n%s\n", error.what(), error.log().c_str());
  return 1;
}
