#pragma once
#include "compiler/codegen/text.h"
#include "compiler/plan/plan.h"

namespace lacuna::codegen {

/// Writes `struct Pattern`: what a pass asks of masks, score and weights.
void write_pattern(Text& text, const plan::Plan& plan, const plan::Pass& pass);

}  // namespace lacuna::codegen
