#include "compiler/codegen/entmax_rows.h"

#include "runtime/engine.h"
#include "templates/abi.h"

#include <fmt/format.h>

#include <cstring>

namespace lacuna {
namespace runtime {
namespace {

[[noreturn]] void reject(const std::string& why) {
  throw Error(ErrorKind::argument, why);
}

void check_matrix(std::string_view name, const TensorView& view) {
  const auto refuse = [name](const std::string& why) { reject(fmt::format("{}: {}", name, why)); };
  if (view.dtype != DType::f32 && view.dtype != DType::f16 && view.dtype != DType::bf16)
    refuse(fmt::format("dtype is {}, expected f16, bf16 or f32", name_of(view.dtype)));
  if (view.rank < 1) refuse("it has no axis, expected rows along the last one");
  constexpr std::int64_t most = 1 << 30;  // positions in a row step beyond its end in 31 bits
  for (int axis = 0; axis < view.rank; ++axis)
    if (view.shape[axis] < 0 || view.shape[axis] > most)
      refuse(fmt::format("axis {} has extent {}, expected 0 to {}", axis, view.shape[axis], most));
  const int last = view.rank - 1;
  if (view.shape[last] > 1 && view.elements() > 0 && view.strides[last] != 1)
    refuse(
        fmt::format("axis {}, the last one, has stride {}, expected 1", last, view.strides[last]));
  if (view.elements() > 0 && view.data == nullptr) refuse("its memory is null");
}

/// Rows of it; at most what a grid has blocks.
std::int64_t rows_of(const TensorView& x) {
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank; ++axis) {
    rows *= x.shape[axis];
    if (rows > 0x7fffffff) reject(fmt::format("x: more than the {} rows of a grid", 0x7fffffff));
  }
  return rows;
}

void check(const TensorView& x, const TensorView& p, float alpha) {
  if (!(alpha == 1 || (alpha >= 1.01f && alpha <= 2)))
    reject(fmt::format("alpha is {}, expected 1 or from 1.01 to 2", alpha));
  check_matrix("x", x);
  check_matrix("p", p);
  bool same = p.rank == x.rank;
  for (int axis = 0; same && axis < x.rank; ++axis) same = p.shape[axis] == x.shape[axis];
  if (!same) reject("p: its shape is not that of x");
  if (x.data != p.data || x.elements() == 0) return;
  same = x.dtype == p.dtype;
  for (int axis = 0; axis + 1 < x.rank; ++axis)
    same = same && (x.shape[axis] <= 1 || x.strides[axis] == p.strides[axis]);
  if (!same) reject("p: it begins where x does, but has another dtype or other strides");
}

TensorArg leading_axes(const TensorView& view) {
  TensorArg arg{};
  for (int axis = 0; axis < max_rank; ++axis) {
    const bool used = axis + 1 < view.rank;
    arg.stride[axis] = used ? view.strides[axis] : 0;
    arg.extent[axis] = used ? static_cast<int>(view.shape[axis]) : 1;
  }
  return arg;
}

/// Names a kernel among those of plans.
KernelKey key_of(const codegen::RowKernel& kernel) {
  const std::uint64_t number = static_cast<std::uint64_t>(kernel.in) |
                               static_cast<std::uint64_t>(kernel.out) << 8 |
                               static_cast<std::uint64_t>(kernel.power) << 16 |
                               static_cast<std::uint64_t>(kernel.softmax) << 24 |
                               static_cast<std::uint64_t>(kernel.warp_rows) << 25;
  constexpr std::uint64_t rows = 0x656e746d61782072;  // no plan's digest, but by chance
  return {{rows, number}, 0, 0};
}

std::shared_ptr<const Loaded> kernel_for(EngineState& engine, const codegen::RowKernel& kernel,
                                         Stream stream) {
  const KernelKey key = key_of(kernel);
  if (auto known = engine.kernels.find(key)) return known;
  engine.device->require_no_capture(stream);
  return engine.kernels.get(key, [&] {
    Stages spent;
    const codegen::Source source = codegen::generate(kernel);
    const Artifact artifact = artifact_of(engine, source, source.entry, spent);
    return std::make_shared<const Loaded>(Loaded{{}, engine.device->load(artifact)});
  });
}

void entmax(EngineState& engine, const TensorView& x, const TensorView& p, float alpha,
            Stream stream) {
  check(x, p, alpha);
  if (x.elements() == 0) return;
  const std::int64_t rows = rows_of(x), n = x.shape[x.rank - 1];
  const codegen::RowKernel kernel = codegen::RowKernel::of(x.dtype, p.dtype, alpha, n);
  const std::shared_ptr<const Loaded> loaded = kernel_for(engine, kernel, stream);
  EntmaxRowsArg arg{};
  arg.x = leading_axes(x);
  arg.p = leading_axes(p);
  arg.rows = static_cast<int>(rows);
  arg.n = static_cast<int>(n);
  arg.alpha = alpha;
  arg.x.data = reinterpret_cast<unsigned long long>(x.data);
  arg.p.data = reinterpret_cast<unsigned long long>(p.data);
  std::byte params[sizeof arg];
  std::memcpy(params, &arg, sizeof arg);
  // Where both are the same memory, it is one region, which is written.
  const bool in_place = x.data == p.data;
  const Region regions[] = {{"p", p, true}, {"x", x, false}};
  const AddressSlot slots[] = {{offsetof(EntmaxRowsArg, p.data), 0},
                               {offsetof(EntmaxRowsArg, x.data), in_place ? 0u : 1u}};
  const auto each = static_cast<std::uint64_t>(kernel.rows_of_cta());
  loaded->kernel->launch({.blocks = (static_cast<std::uint64_t>(rows) + each - 1) / each,
                          .params = params,
                          .slots = slots,
                          .regions = std::span(regions, in_place ? 1 : 2),
                          .stream = stream});
}

}  // namespace
}  // namespace runtime

inline namespace LACUNA_ABI {

void Engine::entmax(const TensorView& x, const TensorView& p, float alpha, Stream stream) const {
  runtime::entmax(*state_, x, p, alpha, stream);
}

}  // namespace LACUNA_ABI
}  // namespace lacuna
