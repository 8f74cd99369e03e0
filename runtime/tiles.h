#pragma once
#include "compiler/ir/sequence.h"
#include "runtime/program.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lacuna {
namespace runtime {

/// Memory of a device that outlives calls; freeing it waits for what still reads it.
class LentMemory {
 public:
  LentMemory(std::shared_ptr<const Device> device, std::size_t bytes)
      : device_(std::move(device)), memory_(device_->allocate(bytes)) {}
  ~LentMemory() { device_->release(memory_); }
  LentMemory(const LentMemory&) = delete;
  LentMemory& operator=(const LentMemory&) = delete;

  void* memory() const { return memory_; }

 private:
  std::shared_ptr<const Device> device_;
  void* memory_;
};

/// Everything that the lists of a call depend on, but what is in tensors.
struct TilesKey {
  Shape shape;
  int tile_q = 0, tile_k = 0;  ///< the granule: those of the pass that reads them
  bool offsets = false, q_lens = false, k_lens = false;  ///< given
  std::optional<std::int64_t> offset = {};               ///< of all sequences, where it is one
  std::vector<std::uint32_t> params = {};                ///< bits of MaskInputs::params
};
TilesKey tiles_key(const Planned& planned, const plan::Pass& reader, const Args& args,
                   const ir::Call& call);

/// Throws Error{argument} that names what differs: lists of another mask, device, shape or tile, or
/// of other params or another offset.
void require_match(const TilesState& tiles, const EngineState& engine, const Planned& planned,
                   const TilesKey& wanted);
/// The part of it that refreshing does not mend.
void require_same_place(const TilesKey& made, const TilesKey& wanted);

/// Where the lists of a call lie in their memory.
plan::TileLists lists_of(const Planned& planned, const plan::Pass& reader, const Args& args,
                         const ir::Call& call);

/// A call that reads Args::tiles, whatever route its shape would take. `sequences` are needed with
/// checks only.
void forward_with_tiles(EngineState& engine, const Planned& planned, const Args& args,
                        const ir::Call& call, const std::vector<ir::Sequence>& sequences,
                        Stream stream, Stages* stages);

}  // namespace runtime

inline namespace LACUNA_ABI {

struct TilesState {
  std::shared_ptr<EngineState> engine;
  std::shared_ptr<const runtime::Planned> planned;
  std::shared_ptr<const runtime::Loaded> maker;
  runtime::TilesKey key;
  plan::TileLists layout;
  std::unique_ptr<const runtime::LentMemory> lent;  ///< null: the caller's
  TensorView memory;
  bool made = false;  ///< false after a launch failed
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
