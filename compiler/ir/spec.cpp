#include "compiler/base/diagnostic.h"
#include "compiler/ir/call.h"
#include "compiler/ir/element.h"
#include "compiler/ir/reject.h"

namespace lacuna::ir {
namespace {

void check_dim(std::string_view name, int dim) {
  if (dim < 8 || dim > 256 || dim % 8 != 0)
    reject("{} is {}, expected a multiple of 8 in 8..256", name, dim);
}

void check_matrix_type(std::string_view name, DType dtype) {
  if (!is_real(dtype)) reject("{} is {}, expected f32, f16 or bf16", name, name_of(dtype));
}

bool can_store(Type type, DType dtype) {
  switch (type) {
    case Type::boolean:
      return dtype == DType::boolean || dtype == DType::u8;
    case Type::i32:
      return !is_real(dtype) && dtype != DType::boolean;
    case Type::f32:
      return is_real(dtype);
  }
  return false;
}

std::string_view storages_of(Type type) {
  switch (type) {
    case Type::boolean:
      return "bool or u8";
    case Type::i32:
      return "i8, u8, i16, i32 or i64";
    case Type::f32:
      return "f32, f16 or bf16";
  }
  return "";
}

void check_storage(const Pattern& pattern, std::string_view name, DType dtype) {
  std::vector<std::string_view> names;
  for (const Tensor& tensor : pattern.tensors) {
    names.push_back(tensor.name);
    if (tensor.name != name) continue;
    if (!can_store(tensor.type, dtype))
      reject("storage of tensor '{}' is {}, expected {} for {}", name, name_of(dtype),
             storages_of(tensor.type), name_of(tensor.type));
    return;
  }
  reject("storage is given for tensor '{}', which pattern '{}' does not have{}", name, pattern.name,
         suggestion(name, names));
}

void check_alpha(const Pattern& pattern) {
  const NodeId alpha = pattern.weights.alpha;
  if (pattern.weights.kind != WeightsKind::entmax || !pattern.graph.is_constant(alpha)) return;
  const float value = pattern.graph.float_value(alpha);
  if (!is_alpha(value)) reject("entmax alpha is {}, expected 1 or a value in [1.01, 2]", value);
}

}  // namespace

DType storage_of(const Spec& spec, const Tensor& tensor) {
  const auto found = spec.storage.find(tensor.name);
  return found != spec.storage.end() ? found->second : default_storage(tensor.type);
}

void check_spec(const Spec& spec) {
  const Pattern& pattern = spec.pattern.tree();
  check_dim("head_dim", spec.head_dim);
  check_dim("value_dim", spec.value_dim);
  check_matrix_type("dtype of Q, K and V", spec.dtype);
  if (spec.output) check_matrix_type("dtype of O", *spec.output);
  for (const auto& [name, dtype] : spec.storage) check_storage(pattern, name, dtype);
  check_alpha(pattern);
  if (spec.sparsity && !is_entmax(pattern))
    reject(
        "sparsity is asked of attention '{}', which weighs by softmax: every key that answers has a "
        "weight, and rows have lse (Spec::statistic); entmax with an alpha above 1 has passes, "
        "candidates, support, residual, live tiles and live keys",
        pattern.name);
}

}  // namespace lacuna::ir
