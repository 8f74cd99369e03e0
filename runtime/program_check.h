#pragma once
#include "compiler/ir/sequence.h"
#include "runtime/device.h"

namespace lacuna::runtime {

/// Memory on the device in which a kernel compiled with checks leaves the first needed read outside
/// a tensor.
class ReportBuffer {
 public:
  explicit ReportBuffer(const Device& device);
  ~ReportBuffer();
  ReportBuffer(const ReportBuffer&) = delete;
  ReportBuffer& operator=(const ReportBuffer&) = delete;

  void* memory() const { return memory_; }
  /// Waits for the stream. Throws Error{argument} where something was found.
  void raise(const ir::Pattern& pattern, Stream stream) const;

 private:
  const Device& device_;
  void* memory_;
};

/// ir::validate_values for memory of any device: what it looks at is copied to the host first,
/// where it is not there. Returns what it learned of each sequence.
std::vector<ir::Sequence> check_values(const Device& device, const Spec& spec, const Args& args,
                                       const ir::Call& call, Stream stream);

}  // namespace lacuna::runtime
