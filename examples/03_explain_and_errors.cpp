// What Lacuna says: of a plan, of a mistake, of a call that cannot be; and when it compiles.
//
//   build/examples/03_explain_and_errors
#include "lacuna/lacuna.hpp"

#include <chrono>
#include <cstdio>
#include <string_view>
#include <vector>

namespace {

using namespace lacuna;

// Prints the error that `work` must throw, and says whether it was one of `kind`.
template <class Work>
bool fails(ErrorKind kind, Work work) {
  try {
    work();
  } catch (const Error& error) {
    std::printf("%s\n\n", error.what());
    return error.kind() == kind;
  }
  std::printf("expected an error\n");
  return false;
}

double milliseconds(auto work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
  return time.count();
}

constexpr std::string_view text = R"(attention local {
  param reach: i32 = 32
  mask  causal and window(reach)
}
)";

}  // namespace

int main() try {
  // A mistake in the text has a place, a caret, and the nearest name.
  bool fine = fails(ErrorKind::pattern,
                    [] { Pattern::parse("attention a {\n  mask windw(8)\n}", "local.lac"); });

  // The plan, as a database prints one: each conjunct of the mask, its strategy and why.
  EngineOptions options = EngineOptions::from_environment();
  options.device = DeviceKind::host;
  options.cache_dir.clear();  // compile for real: this example times it
  const Engine engine(options);
  const Program program = engine.program(
      {.pattern = Pattern::parse(text), .dtype = DType::f16, .head_dim = 64, .value_dim = 64});
  const int n = 64, d = 64;
  const Shape shape = {.heads = 1, .kv_heads = 1, .queries = n, .keys = n};
  std::printf("%s\n", program.explain(shape).c_str());

  // After `prepare` no forward compiles, whatever the lengths and params are.
  std::printf("prepare      %8.2f ms\n", milliseconds([&] { program.prepare(); }));
  std::printf("prepare again%8.2f ms\n\n", milliseconds([&] { program.prepare(); }));

  // A wrong call names the tensor and the limit, and nothing has been written.
  std::vector<std::uint16_t> data(n * d);
  auto view = [&](std::int64_t rows) {
    return TensorView::contiguous(data.data(), DType::f16, {1, 1, rows, d});
  };
  fine &= fails(ErrorKind::argument, [&] {
    program.forward({.q = view(n), .k = view(n), .v = view(n - 1), .o = view(n)});
  });
  const NamedValue unknown[] = {{"raech", 16}};
  fine &= fails(ErrorKind::argument, [&] {
    program.forward({.q = view(n), .k = view(n), .v = view(n), .o = view(n), .params = unknown});
  });
  return fine ? 0 : 1;
} catch (const Error& error) {
  std::fprintf(stderr, "%s\n%s\n", error.what(), error.log().c_str());
  return 1;
}
