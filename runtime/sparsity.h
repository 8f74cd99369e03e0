#pragma once
#include "compiler/plan/sparsity.h"
#include "runtime/program.h"
#include "runtime/tiles.h"

#include <memory>

namespace lacuna {
namespace runtime {

/// Whether a call brings what its spec asks for, and zeros there: what no kernel writes. Throws
/// Error{argument}.
void begin_sparsity(EngineState& engine, const Planned& planned, const Args& args,
                    const ir::Call& call, Stream stream);

}  // namespace runtime

inline namespace LACUNA_ABI {

struct SparsityState {
  std::shared_ptr<EngineState> engine;
  std::shared_ptr<const runtime::Planned> planned;
  Shape shape;
  std::unique_ptr<const runtime::LentMemory> lent;
  std::uint64_t bytes = 0;
  plan::SparsityLayout layout;  ///< of the last call
  bool written = false;
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
