#pragma once
#include "tools/lacuna/execute.h"
#include "tools/lacuna/picture.h"
#include "tools/lacuna/report.h"

#include <string>

namespace lacuna::tool {

/// The tiles of one head that its mask leaves, and those of them that entmax finds alive: a call
/// of Q and K is run for it.
struct LivePictures {
  Picture mask;  ///< tiled as the call is, by its pairs
  Picture live;  ///< its pairs: those of a live key, in each row of the tile of queries
  std::string device;
};

/// `mask` has everything but tiles. Throws Error{argument} where the head weighs by softmax.
LivePictures live_pictures(const EngineOptions& options, const Spec& spec, const Inputs& inputs,
                           Picture mask, std::int64_t b, std::int64_t h);

/// "12 of the 36 tiles that the mask leaves are live (33 %)".
std::string caption(const LivePictures& pictures);

}  // namespace lacuna::tool
