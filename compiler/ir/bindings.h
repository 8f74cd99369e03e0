#pragma once
#include "compiler/ir/evaluate.h"
#include "compiler/ir/sequence.h"

#include <vector>

namespace lacuna::ir {

/// Bindings over the tensors and params of a bound call, reading host memory at any storage type
/// and stride. `read` throws Error{argument} for an index outside its tensor, or outside its
/// sequence on a packed axis, and for a 64-bit id that does not fit i32. Everything must outlive
/// it; safe to share among threads.
class CallBindings final : public Bindings {
 public:
  CallBindings(const Pattern& pattern, const Call& call, const std::vector<Sequence>& sequences,
               bool packed);

  Value param(std::uint32_t index) const override { return params_[index]; }
  Value read(std::uint32_t tensor, std::span<const std::int32_t> indices,
             const Site& site) const override;
  std::int64_t extent(std::uint32_t tensor, std::size_t axis, const Site& site) const override;

 private:
  struct Rows {
    std::int64_t first, extent;
  };
  Rows rows_of(const Axis& axis, std::int64_t extent, const Sequence& sequence) const;
  [[noreturn]] void reject_read(std::uint32_t tensor, std::size_t axis, std::int64_t index,
                                std::int64_t extent, const Site& site) const;

  const Pattern& pattern_;
  const Call& call_;
  const std::vector<Sequence>& sequences_;
  bool packed_;
  std::vector<Value> params_;
};

}  // namespace lacuna::ir
