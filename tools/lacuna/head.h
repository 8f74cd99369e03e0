#pragma once
#include "compiler/ir/bindings.h"
#include "compiler/plan/explain.h"

#include <vector>

namespace lacuna::tool {

/// One head of a call as its masks see it, sequence by sequence: Q and K need a shape only. Neither
/// copied nor moved; `args` must outlive it.
class Head {
 public:
  /// Throws as ir::bind does.
  Head(const Spec& spec, const Args& args, std::int64_t h);
  Head(const Head&) = delete;
  Head& operator=(const Head&) = delete;

  std::int64_t sequences() const { return static_cast<std::int64_t>(sequences_.size()); }
  plan::HeadCall sequence(std::int64_t b) const;

 private:
  ir::Call call_;
  std::vector<ir::Sequence> sequences_;
  ir::CallBindings bindings_;
  int head_dim_;
  std::int64_t h_;
};

/// A view of that shape that nothing may be read through.
TensorView shape_only(DType dtype, std::initializer_list<std::int64_t> shape);
/// The same for a tensor of the pattern, as small as it may be.
TensorView shape_only(DType dtype, const ir::Tensor& tensor, const Shape& shape);

/// `text` as one of 0 .. extent - 1.
std::int64_t index_below(std::string_view flag, const std::string& text, std::int64_t extent);

}  // namespace lacuna::tool
