#pragma once
#include "compiler/ir/print.h"

#include <vector>

namespace lacuna::lang {

/// The nodes that a pattern's text must name by a def, for it to stay within what the parser takes:
/// none where every expression written out in full does. A graph can stand for exponentially long
/// text.
struct Sharing {
  ir::NodeNames names;
  std::vector<ir::NodeId> order;  ///< operands before their users
};
Sharing sharing(const ir::Pattern& pattern);

}  // namespace lacuna::lang
