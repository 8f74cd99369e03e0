#pragma once
#include "compiler/plan/plan.h"

#include <string>
#include <vector>

namespace lacuna::codegen {

/// The members of the tiles pass's Pattern that classify tiles, line by line: query_values,
/// key_values, needs_elements, query_at, key_at, query_hull, key_hull, classify
/// (templates/tiles/classify.cuh says what they promise; templates/box_read.cuh has their words). All
/// conjuncts of the plan are classified, those in closed form too. plan::Classifier gives the same
/// answers on the host.
std::vector<std::string> interval_members(const plan::Plan& plan);
/// The same of any conjuncts.
std::vector<std::string> interval_members(const Spec& spec,
                                          const std::vector<ir::NodeId>& conjuncts);

}  // namespace lacuna::codegen
