#pragma once
#include "compiler/ir/call.h"
#include "compiler/plan/entmax.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/materialise.h"
#include "compiler/plan/route.h"
#include "runtime/engine.h"

#include <cstddef>
#include <optional>
#include <vector>

namespace lacuna {
namespace runtime {

/// A call as a kernel takes it: the parameter block of templates/abi.h, and the memory that its
/// addresses mean.
struct Packed {
  std::vector<std::byte> params;
  std::vector<AddressSlot> slots;
  std::vector<Region> regions;
};
/// What the splits of the decode route leave for each other.
struct Splits {
  int count = 1;
  TensorView parts = {};
};
/// The tile lists of a call in their workspace, for the pass that reads them, or a phase of that
/// which makes them.
struct Lists {
  const plan::TileLists& layout;
  TensorView workspace;
  std::optional<TilePhase> phase = {};
};
/// What the passes of entmax hand to each other, in their workspace.
struct Entmax {
  const plan::EntmaxLayout& layout;
  TensorView workspace;
};
/// What materialise leaves for gather, in their workspace.
struct Candidates {
  const plan::CandidateLayout& layout;
  int splits;
  TensorView workspace;
};
/// `report` is the address of a Report, or null where the plan has no checks; `lists` is null where
/// the pass has nothing to do with any.
Packed pack(const Planned& planned, const Args& args, const ir::Call& call, std::int32_t q_tiles,
            void* report, const Splits& splits = {}, const Lists* lists = nullptr);
/// The same for a pass of entmax.
Packed pack(const Planned& planned, const Args& args, const ir::Call& call, const plan::Pass& pass,
            void* report, const Lists* lists, const Entmax& entmax);

/// The same for materialise or gather.
Packed pack(const Planned& planned, const Args& args, const ir::Call& call, const plan::Pass& pass,
            void* report, const Candidates& candidates);

/// The same for short_rows.
Packed pack(const Planned& planned, const Args& args, const ir::Call& call, const plan::Pass& pass,
            void* report);

/// The kernel that this call may take: aligned where every row of Q, K, V and O starts on 16 bytes.
plan::Variant variant_of(const Args& args);

/// One launch of a pass; nothing where its grid has no CTA. With checks it waits, and throws
/// Error{argument} where a read outside a tensor was found.
void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, const Splits& splits, Stream stream, Stages* stages,
            const Lists* lists = nullptr);
/// The same for a pass of entmax: threshold, with the lists of its masks where it is listed, or
/// accumulate.
void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, const Entmax& entmax, Stream stream, Stages* stages,
            const Lists* lists);
/// The same for materialise or gather.
void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, const Candidates& candidates, Stream stream, Stages* stages);
/// The same for short_rows.
void launch(EngineState& engine, const Planned& planned, const Loaded& loaded, const Args& args,
            const ir::Call& call, Stream stream, Stages* stages);
/// The launches that make the lists of a call.
void make_lists(EngineState& engine, const Planned& planned, const Loaded& maker, const Args& args,
                const ir::Call& call, const plan::TileLists& layout, const TensorView& workspace,
                Stream stream, Stages* stages);

/// The kernels of a route, all of them before any is launched.
std::vector<std::shared_ptr<const Loaded>> kernels_of(EngineState& engine, const Planned& planned,
                                                      plan::Route route, plan::Variant variant,
                                                      Stream stream, Stages* stages);

/// A call weighed by entmax; `given`: lists of the masks' tiles that were made before.
void forward_entmax(EngineState& engine, const Planned& planned, const Args& args,
                    const ir::Call& call, plan::Route route, Stream stream, Stages* stages,
                    const Lists* given = nullptr);

/// One call through the passes of its route, which the shape decides where none is given. Throws
/// Error{argument} before anything is written, and after the launch where checks found a read
/// outside a tensor.
void forward(EngineState& engine, const Planned& planned, const Args& args, Stream stream,
             Stages* stages = nullptr, std::optional<plan::Route> route = {});

}  // namespace runtime

inline namespace LACUNA_ABI {

struct ProgramState {
  std::shared_ptr<EngineState> engine;
  std::shared_ptr<const runtime::Planned> planned;
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
