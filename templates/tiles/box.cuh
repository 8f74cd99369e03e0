// What is classified, and the answer.
#pragma once
#include "prelude.cuh"

namespace lacuna {

// A tile as an interval analysis sees it: positions q0 .. q1 of queries and k0 .. k1 of keys, all
// of which exist.
struct Box {
  s32 q0, q1, k0, k1;
};

// How many pairs of a box attend.
enum class Truth { none, some, all };

}  // namespace lacuna
