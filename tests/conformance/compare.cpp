#include "tests/conformance/compare.h"

#include "compiler/ir/element.h"
#include "compiler/ir/reference.h"
#include "runtime/program.h"
#include "tools/lacuna/bound.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>

namespace lacuna::tests {
namespace {

/// Visits the elements of a view in row-major order: offset into its storage, flat index.
void each(const TensorView& view, const std::function<void(std::int64_t, std::int64_t)>& visit) {
  for (std::int64_t flat = 0; flat < view.elements(); ++flat) {
    std::int64_t rest = flat, offset = 0;
    for (int axis = view.rank; axis-- > 0; rest /= view.shape[axis])
      offset += rest % view.shape[axis] * view.strides[axis];
    visit(offset, flat);
  }
}

std::string place(const TensorView& view, std::int64_t flat) {
  std::string text;
  for (int axis = view.rank; axis-- > 0; flat /= view.shape[axis])
    text = fmt::format("{}{}{}", flat % view.shape[axis], text.empty() ? "" : ",", text);
  return "[" + text + "]";
}

bool agree(double found, double expected, double bound) {
  if (found == expected || (std::isnan(found) && std::isnan(expected))) return true;
  const double error = std::fabs(found - expected);
  return std::isinf(bound) ? !std::isnan(error) : error <= bound;
}

std::string compare(std::string_view name, const TensorView& view,
                    const std::vector<double>& expected, const std::vector<double>& bounds) {
  std::int64_t wrong = 0;
  std::string first;
  each(view, [&](std::int64_t offset, std::int64_t flat) {
    const double found = ir::load_real(view.dtype, view.data, offset);
    if (agree(found, expected[flat], bounds[flat])) return;
    if (wrong++ == 0)
      first = fmt::format("{}{} is {}, expected {} within {}", name, place(view, flat), found,
                          expected[flat], bounds[flat]);
  });
  return wrong ? fmt::format("{}; {} of {} elements differ. ", first, wrong, view.elements()) : "";
}

/// The tensors of a call in the memory of a device that is not the host, by copying each one's
/// whole span.
class Mirror {
 public:
  explicit Mirror(const runtime::Device& device) : device_(device) {}
  Mirror(const Mirror&) = delete;
  ~Mirror() {
    for (const Copy& copy : copies_) device_.release(copy.there);
  }
  TensorView upload(TensorView view) {
    if (!view.data || view.elements() == 0) return view;
    std::int64_t low = 0, high = 0;
    for (int axis = 0; axis < view.rank; ++axis) {
      const std::int64_t reach = (view.shape[axis] - 1) * view.strides[axis];
      (reach < 0 ? low : high) += reach;
    }
    const std::int64_t size = size_of(view.dtype);
    char* start = static_cast<char*>(view.data) + low * size;
    const auto bytes = static_cast<std::size_t>((high - low + 1) * size);
    char* there = static_cast<char*>(device_.allocate(bytes));
    device_.upload(there, start, bytes);
    copies_.push_back({there, start, bytes});
    view.data = there - low * size;
    return view;
  }
  void download() {
    device_.synchronize({});
    for (const Copy& copy : copies_) device_.download(copy.here, copy.there, copy.bytes);
  }

 private:
  struct Copy {
    char *there, *here;
    std::size_t bytes;
  };
  const runtime::Device& device_;
  std::vector<Copy> copies_;
};

void run_on_cuda(EngineState& engine, const runtime::Planned& planned, const fuzz::OwnedCall& call,
                 std::optional<plan::Route> route) {
  Mirror mirror(*engine.device);
  Args args = call.args;
  for (TensorView* view :
       {&args.q, &args.k, &args.v, &args.o, &args.lse, &args.zmax, &args.gap, &args.escort,
        &args.offsets, &args.q_lens, &args.k_lens, &args.cu_seqlens_q, &args.cu_seqlens_k})
    *view = mirror.upload(*view);
  std::vector<NamedTensor> tensors(call.tensors);
  for (NamedTensor& tensor : tensors) tensor.view = mirror.upload(tensor.view);
  args.tensors = tensors;
  runtime::forward(engine, planned, args, {}, nullptr, route);
  mirror.download();
}

}  // namespace

void run(EngineState& engine, const Spec& spec, const fuzz::OwnedCall& call,
         std::optional<plan::Route> route) {
  const auto planned = runtime::planned_for(engine, spec);
  if (engine.device->kind() == DeviceKind::cuda)
    run_on_cuda(engine, *planned, call, route);
  else
    runtime::forward(engine, *planned, call.args, {}, nullptr, route);
}

void run_entmax(EngineState& engine, TensorView x, TensorView p, float alpha) {
  const Engine entmax(std::shared_ptr<EngineState>(&engine, [](EngineState*) {}));
  if (engine.device->kind() != DeviceKind::cuda) return entmax.entmax(x, p, alpha);
  Mirror mirror(*engine.device);
  const bool in_place = x.data == p.data;
  p = mirror.upload(p);
  x = in_place ? p : mirror.upload(x);
  entmax.entmax(x, p, alpha);
  mirror.download();
}

std::string run_and_compare(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call,
                            std::optional<plan::Route> route) {
  run(engine, spec, call, route);
  const ir::Reference reference = ir::forward(spec, call.args);
  const tool::Bounds bounds = tool::bounds(spec, call.args, reference);
  std::string wrong = compare("o", call.args.o, reference.o, bounds.o);
  if (spec.escort) wrong += compare("escort", call.args.escort, reference.escort, bounds.escort);
  if (!spec.statistic) return wrong;
  if (!spec.pattern.is_entmax())
    return wrong + compare("lse", call.args.lse, reference.lse, bounds.lse);
  return wrong + compare("zmax", call.args.zmax, reference.zmax, bounds.zmax) +
         compare("gap", call.args.gap, reference.gap, bounds.gap);
}

}  // namespace lacuna::tests
