#include "runtime/sparsity.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace lacuna {
namespace runtime {
namespace {

[[noreturn]] void reject(const std::string& why) {
  throw Error(ErrorKind::argument, "sparsity " + why);
}

void require_match(const SparsityState& made, const EngineState& engine, const Planned& planned,
                   const Shape& shape) {
  if (made.engine->device.get() != engine.device.get())
    reject("is in memory of another engine's device");
  if (made.planned->digest != planned.digest)
    reject(fmt::format("was made by a program of attention '{}', and is given to another program",
                       made.planned->plan.spec.pattern.name()));
  const auto check = [](const char* name, std::int64_t has, std::int64_t wanted) {
    if (has != wanted)
      reject(fmt::format("was made for {} = {}, this call has {}", name, has, wanted));
  };
  check("batch", made.shape.batch, shape.batch);
  check("heads", made.shape.heads, shape.heads);
  check("kv_heads", made.shape.kv_heads, shape.kv_heads);
  check("queries", made.shape.queries, shape.queries);
  check("keys", made.shape.keys, shape.keys);
}

template <class T>
std::vector<T> copy(const SparsityState& state, const plan::Buffer& buffer) {
  std::vector<T> all(static_cast<std::size_t>(buffer.bytes / sizeof(T)));
  const auto* const memory = static_cast<const std::byte*>(state.lent->memory());
  if (!all.empty()) state.engine->device->download(all.data(), memory + buffer.at, buffer.bytes);
  return all;
}

void read_rows(const SparsityState& state, SparsityRows& out) {
  for (const SparsityRow& row : copy<SparsityRow>(state, state.layout.rows)) {
    out.passes.push_back(row.passes);
    out.candidates.push_back(row.candidates);
    out.support.push_back(row.support);
    out.residual.push_back(row.residual);
  }
}

/// Tiles of queries are worked on from the last to the first, but where sequences are packed.
std::int64_t slot_of(const SparsityState& state, std::int64_t tile) {
  if (state.planned->plan.spec.lengths == Lengths::packed) return tile;
  const std::int64_t first = tile / state.layout.q_tiles * state.layout.q_tiles;
  return first + state.layout.q_tiles - 1 - (tile - first);
}

struct States {
  std::uint32_t visited, full;
};

void read_tiles(const SparsityState& state, SparsityRows& out) {
  const plan::SparsityLayout& layout = state.layout;
  const auto tiles = copy<States>(state, layout.live_tiles);
  const auto keys = copy<States>(state, layout.live_keys);
  const auto words = static_cast<std::size_t>(layout.key_words);
  out.offsets.push_back(0);
  for (std::int64_t tile = 0; tile < layout.tiles; ++tile) {
    const auto slot = static_cast<std::size_t>(slot_of(state, tile));
    out.live_tiles.push_back(static_cast<std::int32_t>(tiles[slot].visited + tiles[slot].full));
    for (std::size_t w = 0; w < words; ++w)
      for (std::uint32_t open = keys[slot * words + w].visited; open != 0; open &= open - 1)
        out.keys.push_back(static_cast<std::int32_t>(w) * 32 + std::countr_zero(open));
    out.offsets.push_back(static_cast<std::int64_t>(out.keys.size()));
  }
}

}  // namespace

void begin_sparsity(EngineState& engine, const Planned& planned, const Args& args,
                    const ir::Call& call, Stream stream) {
  const plan::Plan& plan = planned.plan;
  if (!plan.spec.sparsity) {
    if (args.sparsity) reject("is given, but the spec does not ask for it");
    return;
  }
  if (!args.sparsity) reject("is missing: the spec asks for it, and Program::sparsity makes some");
  SparsityState& state = args.sparsity->state();
  require_match(state, engine, planned, call.shape);
  state.layout = plan::sparsity_layout(plan, call.shape);
  state.written = true;
  if (state.bytes > 0) engine.device->clear(state.lent->memory(), state.bytes, stream);
}

}  // namespace runtime

inline namespace LACUNA_ABI {

std::size_t Program::sparsity_bytes(const Shape& shape) const {
  const plan::Plan& plan = state_->planned->plan;
  if (!plan.spec.sparsity) runtime::reject("is not what this program's spec asks for");
  return plan::sparsity_bytes(plan, shape);
}

Sparsity Program::sparsity(const Shape& shape) const {
  const std::size_t bytes = sparsity_bytes(shape);
  auto state = std::make_shared<SparsityState>();
  state->engine = state_->engine;
  state->planned = state_->planned;
  state->shape = shape;
  state->bytes = bytes;
  state->lent = std::make_unique<const runtime::LentMemory>(state_->engine->device,
                                                            std::max<std::size_t>(bytes, 16));
  return Sparsity(std::move(state));
}

SparsityRows Sparsity::read(Stream stream) const {
  const SparsityState& state = *state_;
  if (!state.written) runtime::reject("holds nothing before a call that names it");
  state.engine->device->synchronize(stream);
  SparsityRows out{.tile_q = state.layout.tile_q,
                   .tile_k = state.layout.tile_k,
                   .q_tiles = state.layout.q_tiles};
  runtime::read_rows(state, out);
  runtime::read_tiles(state, out);
  return out;
}

}  // namespace LACUNA_ABI
}  // namespace lacuna
