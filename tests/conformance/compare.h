#pragma once
#include "compiler/plan/route.h"
#include "runtime/engine.h"
#include "tests/fuzz/program.h"

#include <optional>
#include <string>

namespace lacuna::tests {

/// Runs a call whose memory is on the host; on a GPU its tensors are copied there and back.
void run(EngineState& engine, const Spec& spec, const fuzz::OwnedCall& call,
         std::optional<plan::Route> route = {});

/// Engine::entmax of rows that are on the host; on a GPU they are copied there and back.
void run_entmax(EngineState& engine, TensorView x, TensorView p, float alpha);

/// Runs a call whose memory is on the host and compares O, and the row statistic where the spec
/// wants it, with the reference, element by element, under the rounding bounds of
/// tools/lacuna/bound.h. Returns "" or what differs: "o[0,1,5,3] is 0.5, expected 0.25 within 1e-6;
/// 7 of 640 elements differ". Elements that no bound holds for (a comparison of scores closer than
/// their errors) only have to be numbers where the reference has numbers. On a GPU the tensors are
/// copied there and back. `route`: instead of the one that the shape decides.
std::string run_and_compare(EngineState& engine, const Spec& spec, fuzz::OwnedCall& call,
                            std::optional<plan::Route> route = {});

}  // namespace lacuna::tests
