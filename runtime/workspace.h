#pragma once
#include "runtime/device.h"

namespace lacuna::runtime {

/// Throws Error{argument} that begins with `name` where `given` is no `bytes` plain bytes on
/// Workspace::alignment.
void check_memory(std::string_view name, const TensorView& given, std::size_t bytes);

/// What the passes of a call hand to each other: the caller's memory where Args::workspace is
/// given, else the device's own, taken and given back in the order of the stream.
class Workspace {
 public:
  /// Where a workspace starts at least: vectors are stored there.
  static constexpr std::size_t alignment = 16;

  /// Throws Error{argument}, with the bytes, where `given` is too small or not plain bytes.
  Workspace(const Device& device, const TensorView& given, std::size_t bytes, Stream stream);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// As f32; absent where nothing is needed.
  const TensorView& view() const { return view_; }

 private:
  const Device& device_;
  Stream stream_;
  void* own_ = nullptr;
  TensorView view_;
};

}  // namespace lacuna::runtime
