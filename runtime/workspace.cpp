#include "runtime/workspace.h"

#include <fmt/format.h>

namespace lacuna::runtime {

void check_memory(std::string_view name, const TensorView& given, std::size_t bytes) {
  const auto reject = [name](const std::string& why) {
    throw Error(ErrorKind::argument, fmt::format("{}: {}", name, why));
  };
  if (size_of(given.dtype) != 1)
    reject(fmt::format("dtype is {}, expected u8", name_of(given.dtype)));
  if (given.rank != 1 || (given.shape[0] > 1 && given.strides[0] != 1))
    reject("expected one contiguous axis of bytes");
  if (given.data == nullptr || given.shape[0] < 0)
    reject(fmt::format("its memory is {} and its extent {}", given.data, given.shape[0]));
  const auto present = static_cast<std::uint64_t>(given.shape[0]);
  if (present < bytes) reject(fmt::format("it has {} bytes, this call needs {}", present, bytes));
  if (const auto beyond = reinterpret_cast<std::uintptr_t>(given.data) % Workspace::alignment)
    reject(fmt::format("it starts {} bytes beyond a multiple of {}", beyond, Workspace::alignment));
}

Workspace::Workspace(const Device& device, const TensorView& given, std::size_t bytes,
                     Stream stream)
    : device_(device), stream_(stream) {
  if (bytes == 0) return;
  void* memory = given.data;
  if (given.present())
    check_memory("workspace", given, bytes);
  else
    memory = own_ = device.allocate_ordered(bytes, stream);
  view_ = TensorView::contiguous(memory, DType::f32, {static_cast<std::int64_t>(bytes / 4)});
}

Workspace::~Workspace() {
  if (own_) device_.release_ordered(own_, stream_);
}

}  // namespace lacuna::runtime
