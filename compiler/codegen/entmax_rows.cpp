#include "compiler/codegen/entmax_rows.h"

#include "lacuna/version.hpp"

#include "compiler/codegen/expression.h"
#include "compiler/codegen/text.h"
#include "templates/abi.h"

#include <fmt/format.h>

#include <cmath>

namespace lacuna::codegen {
namespace {

/// Warps of a CTA and of a row, scores of a row and of a warp's list in shared memory.
struct Extents {
  int warps, row_warps, capacity, list;
};
constexpr Extents of_warp{4, 1, RowKernel::most_of_warp, 256}, of_cta{8, 8, 8192, 256};

const Extents& extents(const RowKernel& kernel) {
  return kernel.warp_rows ? of_warp : of_cta;
}

int shared_bytes(const Extents& e) {
  return 4 * (e.warps / e.row_warps * e.capacity + e.warps * e.list) + 16 * e.warps;
}

}  // namespace

RowKernel RowKernel::of(DType in, DType out, float alpha, std::int64_t n) {
  RowKernel kernel{.in = in, .out = out, .softmax = alpha == 1, .warp_rows = n <= most_of_warp};
  const float beta = 1 / (alpha - 1), whole = std::round(beta);
  // 4/3 is no f32.
  if (!kernel.softmax && whole >= 1 && whole <= 4 && std::fabs(beta - whole) < 1e-5f)
    kernel.power = static_cast<int>(whole);
  return kernel;
}

int RowKernel::rows_of_cta() const {
  return extents(*this).warps / extents(*this).row_warps;
}

Source generate(const RowKernel& kernel) {
  const Extents& e = extents(kernel);
  Source source;
  source.name = "entmax.cu";
  source.entry = fmt::format("lacuna_{}_of_{}s_{}",
                             kernel.softmax ? "softmax" : fmt::format("entmax_{}", kernel.power),
                             kernel.warp_rows ? "warp" : "cta", name_of(kernel.in));
  source.threads = 32 * e.warps;
  source.shared_bytes = shared_bytes(e);
  source.param_bytes = sizeof(EntmaxRowsArg);
  Text text(source.name);
  text.line("// lacuna {}: weights of rows", LACUNA_VERSION);
  text.line("#include \"entmax_rows.cuh\"");
  text.line("namespace lacuna {{");
  text.line("struct Params {{ EntmaxRowsArg arg; }};");
  text.line("struct Config {{");
  text.line("  using In = {};", device_type(kernel.in));
  text.line("  using Out = {};", device_type(kernel.out));
  text.line("  static constexpr bool softmax = {}, precise = {};", kernel.softmax,
            kernel.out == DType::f32);
  text.line(
      "  static constexpr int power = {}, warps = {}, row_warps = {}, capacity = {}, list = {};",
      kernel.power, e.warps, e.row_warps, e.capacity, e.list);
  text.line("}};");
  text.line(
      "static_assert(sizeof(Params) == {}, \"host and device disagree about the parameters\");",
      source.param_bytes);
  text.line(
      "static_assert(sizeof(RowWeights<Config, Params>::Shared) == {}, \"host and device disagree "
      "about shared memory\");",
      source.shared_bytes);
  text.line("}}  // namespace lacuna");
  text.line("LACUNA_KERNEL void LACUNA_BOUNDS({}, 1) {}(LACUNA_GRID_CONST lacuna::Params p) {{",
            source.threads, source.entry);
  text.line("  lacuna::entmax_rows<lacuna::Config>(p);");
  text.line("}}");
  source.text = text.take();
  return source;
}

}  // namespace lacuna::codegen
