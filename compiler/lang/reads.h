#pragma once
#include "compiler/ir/pattern.h"

#include <optional>
#include <string>

namespace lacuna::lang {

struct WrongRead {
  ir::NodeId read;
  std::string message;
};

/// A read at a constant index outside its tensor that every evaluation of `root` needs: not behind
/// `and`, `or` or a branch of `where`. Everything else is found where the values are known.
std::optional<WrongRead> read_outside(const ir::Pattern& pattern, ir::NodeId root);

}  // namespace lacuna::lang
