#pragma once
#include "lacuna/engine.hpp"

#include "tools/lacuna/array.h"
#include "tools/lacuna/report.h"

#include <string>
#include <utility>
#include <vector>

namespace lacuna::tool {

/// What a call found, by the names of its files: passes, candidates, support i32 and residual f32
/// [B,H,Nq]; live_tiles i32 [B,H,tiles of queries]; live_offsets i64 and live_keys i32, one axis.
/// `rows`: [B,H,Nq] of Q (packed: [1,H,Tq]).
std::vector<std::pair<std::string, Array>> arrays_of(const SparsityRows& found,
                                                     const std::vector<std::int64_t>& rows);

/// Mean, median, 99th percentile and the most of each: of the rows, and tiles of queries, that
/// entmax found a threshold for.
std::string to_text(const SparsityRows& found);
Json to_json(const SparsityRows& found);

}  // namespace lacuna::tool
