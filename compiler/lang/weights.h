#pragma once
#include "compiler/lang/typing.h"

namespace lacuna::lang {

/// The meaning of a `weights` statement; alpha 1 is softmax, sparsemax is alpha 2. Throws
/// Error{pattern}.
ir::Weights resolve_weights(const WeightsStatement& statement, ir::Pattern& pattern, Typing& typing,
                            const Scope& scope);

}  // namespace lacuna::lang
