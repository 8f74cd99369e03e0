// A pattern of your own, twice: as a text and in C++. Then its params and tensors, at the call.
//
//   build/examples/02_your_own_pattern
#include "lacuna/lacuna.hpp"

#include <cstdio>
#include <vector>

namespace {

lacuna::Pattern as_text() {
  return lacuna::Pattern::parse(R"(
def near(w) = q - k < w                # a def: near(reach) stands for q - k < reach

attention local {
  param  reach: i32 = 8                # given at the call; changing it never recompiles
  tensor doc:   i32[batch, key]        # which document each token belongs to
  mask   causal                        # several masks are a conjunction
  mask   near(reach) or k < 2
  mask   document(doc)                 # a named pattern: doc[b, q] == doc[b, k]
  score  softcap(score, 30.0) - 0.125 * (q - k)
}
)");
}

lacuna::Pattern in_cpp() {
  using namespace lacuna::build;
  AttentionBuilder a("local");
  const Expr reach = a.param("reach", 8);
  const Tensor doc = a.tensor("doc", Type::i32, {batch, key});
  const auto near = [](const Expr& w) { return q - k < w; };
  a.mask(call("causal"));
  a.mask(near(reach) || k < 2);
  a.mask(call("document", {doc}));
  a.score(softcap(score, 30.0) - 0.125 * (q - k));
  return a.build();
}

}  // namespace

int main() try {
  using namespace lacuna;
  const Pattern pattern = as_text();
  std::printf("%s\n", pattern.text().c_str());  // canonical: defs are expanded
  if (!(pattern == in_cpp())) return std::fprintf(stderr, "two doors, but not one hallway\n"), 1;

  EngineOptions options = EngineOptions::from_environment();
  options.device = DeviceKind::host;
  const Engine engine(options);
  const int n = 48, d = 32;
  const Program program =
      engine.program({.pattern = pattern, .dtype = DType::f32, .head_dim = d, .value_dim = d});

  // Equal scores, and V holds 1 in the second document: O is the weight that a row gives it.
  std::vector<float> zero(n * d), v(n * d), o(n * d);
  std::vector<std::int32_t> doc(n, 0);
  for (int i = n / 2; i < n; ++i) {
    doc[i] = 1;
    for (int c = 0; c < d; ++c) v[i * d + c] = 1;
  }
  auto view = [&](std::vector<float>& data) {
    return TensorView::contiguous(data.data(), DType::f32, {1, 1, n, d});
  };
  const NamedTensor tensors[] = {{"doc", TensorView::contiguous(doc.data(), DType::i32, {1, n})}};
  const NamedValue params[] = {{"reach", 16}};
  const TensorView q = view(zero), k = view(zero);
  program.forward(
      {.q = q, .k = k, .v = view(v), .o = view(o), .params = params, .tensors = tensors});

  const float before = o[(n / 2 - 1) * d], after = o[n / 2 * d];
  std::printf("weight on the second document: %.1f above it, %.1f in it\n", before, after);
  return before == 0.0f && after == 1.0f ? 0 : 1;
} catch (const lacuna::Error& error) {
  std::fprintf(stderr, "%s\n%s\n", error.what(), error.log().c_str());
  return 1;
}
