#pragma once
#include "compiler/ir/types.h"

#include <span>
#include <string>
#include <string_view>

namespace lacuna::lang {

/// Why an operator or function does not take operands of these types: "'+' takes i32 or f32; found
/// bool and i32".
std::string mismatch(std::string_view spelling, std::span<const ir::Type> found);

}  // namespace lacuna::lang
