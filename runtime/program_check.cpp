#include "runtime/program_check.h"

#include "templates/abi.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

namespace lacuna::runtime {
namespace {

/// Copies of device tensors, alive as long as this is.
class HostCopies {
 public:
  explicit HostCopies(const Device& device) : device_(device) {}

  /// The same view of a copy of its memory; absent and empty ones as they are.
  TensorView of(TensorView view) {
    if (view.data == nullptr || view.elements() == 0) return view;
    std::int64_t low = 0, high = 0;
    for (int axis = 0; axis < view.rank; ++axis) {
      std::int64_t reach = (view.shape[axis] - 1) * view.strides[axis];
      (reach < 0 ? low : high) += reach;
    }
    std::int64_t size = size_of(view.dtype);
    std::string& copy =
        copies_.emplace_back(static_cast<std::size_t>((high - low + 1) * size), '\0');
    device_.download(copy.data(), static_cast<const char*>(view.data) + low * size, copy.size());
    view.data = copy.data() - low * size;
    return view;
  }

 private:
  const Device& device_;
  std::deque<std::string> copies_;
};

std::string axis_text(const ir::Tensor& tensor, int axis) {
  ir::AxisKind kind = tensor.axes[static_cast<std::size_t>(axis)].kind;
  bool named = kind != ir::AxisKind::fixed && kind != ir::AxisKind::any;
  return named ? std::string(name_of(kind)) : std::to_string(axis);
}

std::string text_of(const Report& report, const ir::Pattern& pattern) {
  const ir::Tensor& tensor = pattern.tensors[static_cast<std::size_t>(report.tensor)];
  std::string range = report.extent > 0 ? fmt::format("outside 0..{}", report.extent - 1)
                                        : "read, but the axis is empty";
  return fmt::format("tensor '{}': axis {}: index {} is {}, read at b={} h={} q={} k={}",
                     tensor.name, axis_text(tensor, report.axis), report.index, range,
                     report.site[0], report.site[1], report.site[2], report.site[3]);
}

}  // namespace

ReportBuffer::ReportBuffer(const Device& device)
    : device_(device), memory_(device.allocate(sizeof(Report))) {
  try {
    Report empty{};
    device_.upload(memory_, &empty, sizeof empty);
    device_.synchronize(
        {});  // an upload may return while its copy still races a caller's own stream
  } catch (...) {
    device_.release(memory_);
    throw;
  }
}

ReportBuffer::~ReportBuffer() {
  device_.release(memory_);
}

void ReportBuffer::raise(const ir::Pattern& pattern, Stream stream) const {
  Report report;
  device_.synchronize(stream);
  device_.download(&report, memory_, sizeof report);
  if (report.found) throw Error(ErrorKind::argument, text_of(report, pattern));
}

std::vector<ir::Sequence> check_values(const Device& device, const Spec& spec, const Args& args,
                                       const ir::Call& call, Stream stream) {
  if (device.kind() == DeviceKind::host) {
    ir::validate_values(spec, args, call);
    return ir::sequences_of(spec, args, call);
  }
  device.synchronize(stream);
  HostCopies copies(device);
  Args on_host = args;
  for (TensorView* view : {&on_host.offsets, &on_host.q_lens, &on_host.k_lens,
                           &on_host.cu_seqlens_q, &on_host.cu_seqlens_k}) {
    *view = copies.of(*view);
  }
  ir::Call call_on_host = call;
  for (TensorView& view : call_on_host.tensors) view = copies.of(view);
  ir::validate_values(spec, on_host, call_on_host);
  return ir::sequences_of(spec, on_host, call_on_host);
}

}  // namespace lacuna::runtime
