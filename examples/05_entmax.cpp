// Weights that are exactly 0: α-entmax instead of softmax, and what its statistic says of a row.
//
//   build/examples/05_entmax
#include "lacuna/lacuna.hpp"

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

int main() try {
  using namespace lacuna;
  EngineOptions options = EngineOptions::from_environment();
  options.device = DeviceKind::host;
  const Engine engine(options);
  const int n = 256, d = 32;
  // alpha is a param: a model may begin with softmax, at 1, and end sparse.
  const Program attend = engine.program({.pattern = Pattern::parse(R"(
attention sparse {
  param   alpha: f32 = 1.5
  mask    causal
  weights entmax(alpha)
})"),
                                         .dtype = DType::f32,
                                         .head_dim = d,
                                         .value_dim = d,
                                         .statistic = true});

  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(n * d), k(n * d), v(n * d, 1), o(n * d), zmax(n), gap(n);
  for (float& x : q) x = 2 * normal(random);
  for (float& x : k) x = normal(random);
  auto view = [&](std::vector<float>& data) {
    return TensorView::contiguous(data.data(), DType::f32, {1, 1, n, d});
  };
  auto statistic = [&](std::vector<float>& data) {
    return TensorView::contiguous(data.data(), DType::f32, {1, 1, n});
  };
  Args args{.q = view(q), .k = view(k), .v = view(v), .o = view(o)};
  args.zmax = statistic(zmax);
  args.gap = statistic(gap);

  // A key has a weight where its score is less than gap / (alpha - 1) below zmax.
  const auto keys_of_last_row = [&](float alpha) {
    int live = 0;
    for (int key = 0; key < n; ++key) {
      float z = 0;
      for (int i = 0; i < d; ++i) z += q[(n - 1) * d + i] * k[key * d + i];
      live += (alpha - 1) * (zmax[n - 1] - z / std::sqrt(float(d))) < gap[n - 1];
    }
    return live;
  };
  bool right = true;
  int before = n;
  for (const float alpha : {1.0f, 1.25f, 1.5f, 2.0f}) {
    const NamedValue value{"alpha", alpha};
    args.params = {&value, 1};
    attend.forward(args);
    // Of softmax zmax is the log of the sum of exponentials, gap is 0, and every key has a weight.
    const int live = alpha == 1 ? n : keys_of_last_row(alpha);
    std::printf("alpha %.2f: the last row has %3d of %d keys, zmax %.3f, gap %.3f\n", alpha, live,
                n, zmax[n - 1], gap[n - 1]);
    right &= live <= before && live > 0 && std::fabs(o[(n - 1) * d] - 1) < 1e-4f;  // they sum to 1
    before = live;
  }
  right &= before < n / 8;

  // What an alpha may be is said where it is not.
  const NamedValue flat{"alpha", 0.5f};
  args.params = {&flat, 1};
  try {
    attend.forward(args);
    return 1;
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
  }
  return right ? 0 : 1;
} catch (const lacuna::Error& error) {
  std::fprintf(stderr, "%s\n%s\n", error.what(), error.log().c_str());
  return 1;
}
