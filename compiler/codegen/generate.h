#pragma once
#include "compiler/codegen/source.h"
#include "compiler/plan/plan.h"

namespace lacuna::codegen {

/// The CUDA source of one pass and variant: includes from templates/, a Pattern, a Config, one
/// entry point, and static_asserts that host and device agree. A pure function.
Source generate(const plan::Plan& plan, const plan::Pass& pass, plan::Variant variant);

/// Where things stand in the kernel's parameter block: CallArg at 0, then u32 param[], then
/// TensorArg tensor[].
struct ParamLayout {
  int params_at = 0, tensors_at = 0, bytes = 0;
};
ParamLayout param_layout(const ir::Pattern& pattern);

}  // namespace lacuna::codegen
