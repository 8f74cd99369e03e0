#include "runtime/tiles.h"

#include "compiler/plan/inside.h"
#include "runtime/program_check.h"
#include "runtime/workspace.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna {
namespace runtime {
namespace {

[[noreturn]] void reject(const std::string& why) {
  throw Error(ErrorKind::argument, "tiles: " + why);
}

/// Lists that this plan makes, for any call.
void require_listed(const plan::Plan& plan) {
  if (plan::list_reader(plan)) return;
  const std::string& name = plan.spec.pattern.name();
  for (const plan::Conjunct& c : plan.conjuncts)
    if (c.taken == plan::Strategy::elements)
      reject(
          fmt::format("there is nothing to make for attention '{}': mask {} (line {}) asks for "
                      "`plan elements`, and the others are bands",
                      name, c.text, c.where.line));
  reject(fmt::format("there is nothing to make for attention '{}': {}", name,
                     plan.conjuncts.empty()
                         ? "it has no mask"
                         : "its masks are bands alone, whose tiles are known in closed form"));
}

/// And for this one.
void require_lists(const plan::Plan& plan, const ir::Call& call,
                   const std::vector<ir::Sequence>& sequences) {
  require_listed(plan);
  if (!plan.facts.checked) return;
  if (const plan::Conjunct* c = plan::read_outside(plan, call, sequences))
    reject(
        fmt::format("mask {} (line {}) is not proved to read inside its tensors, and with checks "
                    "such a call has no lists: every read is tested where it is made",
                    c->text, c->where.line));
}

bool is_empty(const Shape& shape) {
  return std::min({shape.batch, shape.heads, shape.kv_heads, shape.queries, shape.keys}) == 0;
}

ir::Call bind(EngineState& engine, const plan::Plan& plan, const Args& args, Stream stream) {
  ir::Call call = ir::bind(plan.spec, args, ir::Needs::shapes);
  std::vector<ir::Sequence> sequences;
  if (plan.facts.checked) {
    engine.device->require_no_capture(stream);
    sequences = check_values(*engine.device, plan.spec, args, call, stream);
  }
  require_lists(plan, call, sequences);
  return call;
}

/// The lists of `call` into the memory of `tiles`.
void make(TilesState& tiles, const Args& args, const ir::Call& call, Stream stream) {
  tiles.made = false;
  if (!is_empty(call.shape))
    make_lists(*tiles.engine, *tiles.planned, *tiles.maker, args, call, tiles.layout, tiles.memory,
               stream, nullptr);
  tiles.made = true;
}

/// Says in the words of tiles why nothing can wait or be allocated.
void require_no_capture(const Device& device, Stream stream, const char* why) {
  try {
    device.require_no_capture(stream);
  } catch (const Error& error) {
    throw Error(error.kind(), why);
  }
}

std::shared_ptr<const Loaded> kernel(EngineState& engine, const Planned& planned,
                                     plan::PassKind kind, const Args& args, Stream stream,
                                     Stages* stages = nullptr) {
  // Those of the listed route are the last two.
  const std::size_t last = planned.plan.passes.size() - 1;
  return kernel_for(engine, planned, kind == plan::PassKind::tile_lists ? last - 1 : last,
                    variant_of(args), stream, stages);
}

std::vector<std::int32_t> words(const TilesState& tiles, const plan::Buffer& buffer,
                                std::size_t count) {
  std::vector<std::int32_t> copy(count);
  tiles.engine->device->download(
      copy.data(), static_cast<const std::byte*>(tiles.memory.data) + buffer.at, count * 4);
  return copy;
}

/// Rows of tiles are worked on from the last to the first, but where sequences are packed.
std::int32_t natural(const TilesState& tiles, std::int32_t row) {
  if (tiles.planned->plan.spec.lengths == Lengths::packed) return row;
  const std::int32_t first = row / tiles.layout.q_tiles * tiles.layout.q_tiles;
  return first + tiles.layout.q_tiles - 1 - (row - first);
}

void read_rows(const TilesState& tiles, TileRows& out) {
  const plan::TileLists& lists = tiles.layout;
  const auto count = static_cast<std::size_t>(lists.rows);
  const auto offsets = words(tiles, lists.row_offsets, 2 * count + 1);
  for (std::size_t i = 0; i < 2 * count; ++i)
    if (offsets[i] < 0 || offsets[i] > offsets[i + 1] || offsets[i + 1] > lists.capacity)
      throw Error(ErrorKind::device,
                  fmt::format("tiles: row {} lies at {}..{} of {} tiles: this memory holds no "
                              "lists; were they made before, on this stream?",
                              i / 2, offsets[i], offsets[i + 1], lists.capacity));
  const auto indices =
      words(tiles, lists.row_indices, static_cast<std::size_t>(offsets[2 * count]));
  for (std::size_t r = 0; r < count; ++r) {
    TileRows::Row& row = out.rows[static_cast<std::size_t>(natural(tiles, static_cast<int>(r)))];
    row.full.assign(indices.begin() + offsets[2 * r], indices.begin() + offsets[2 * r + 1]);
    row.partial.assign(indices.begin() + offsets[2 * r + 1], indices.begin() + offsets[2 * r + 2]);
  }
  for (const std::int32_t row : words(tiles, lists.row_order, count))
    out.order.push_back(natural(tiles, row));
}

}  // namespace

plan::TileLists lists_of(const Planned& planned, const plan::Pass& reader, const Args& args,
                         const ir::Call& call) {
  plan::ListTraits traits = planned.plan.lists;
  traits.by_batch |= args.offsets.data != nullptr;
  return plan::tile_lists(reader, planned.plan.spec, call.shape, traits);
}

void forward_with_tiles(EngineState& engine, const Planned& planned, const Args& args,
                        const ir::Call& call, const std::vector<ir::Sequence>& sequences,
                        Stream stream, Stages* stages) {
  const TilesState& tiles = args.tiles->state();
  require_lists(planned.plan, call, sequences);
  const auto reader = kernel(engine, planned, plan::PassKind::flash_forward, args, stream, stages);
  require_match(tiles, engine, planned, tiles_key(planned, reader->pass, args, call));
  if (call.shape.keys == 0) {  // only zeros are written, which takes no lists
    const auto plain = kernel_for(engine, planned, 0, variant_of(args), stream, stages);
    return launch(engine, planned, *plain, args, call, {}, stream, stages);
  }
  const Lists lists{tiles.layout, tiles.memory};
  launch(engine, planned, *reader, args, call, {}, stream, stages, &lists);
}

}  // namespace runtime

inline namespace LACUNA_ABI {

std::size_t Program::tiles_bytes(const Shape& shape) const {
  const plan::Plan& plan = state_->planned->plan;
  runtime::require_listed(plan);
  return plan::list_bytes(plan, shape);
}

Tiles Program::tiles(const Args& args, const TensorView& memory, Stream stream) const {
  EngineState& engine = *state_->engine;
  const runtime::Planned& planned = *state_->planned;
  const ir::Call call = runtime::bind(engine, planned.plan, args, stream);
  auto tiles = std::make_shared<TilesState>();
  tiles->engine = state_->engine;
  tiles->planned = state_->planned;
  // First the maker, beside which its reader is compiled.
  tiles->maker = runtime::kernel(engine, planned, plan::PassKind::tile_lists, args, stream);
  const auto reader = runtime::kernel(engine, planned, plan::PassKind::flash_forward, args, stream);
  tiles->key = runtime::tiles_key(planned, reader->pass, args, call);
  tiles->layout = runtime::lists_of(planned, reader->pass, args, call);
  const std::size_t bytes = tiles->layout.bytes;
  void* begin = memory.data;
  if (memory.present()) {
    runtime::check_memory("tiles: memory", memory, bytes);
  } else {
    runtime::require_no_capture(
        *engine.device, stream,
        "tiles: memory is not lent while a CUDA graph is being captured on the stream; give some");
    tiles->lent = std::make_unique<const runtime::LentMemory>(engine.device, bytes);
    begin = tiles->lent->memory();
  }
  tiles->memory = TensorView::contiguous(begin, DType::i32, {static_cast<std::int64_t>(bytes / 4)});
  runtime::make(*tiles, args, call, stream);
  return Tiles(std::move(tiles));
}

void Tiles::refresh(const Args& args, Stream stream) {
  const runtime::Planned& planned = *state_->planned;
  const ir::Call call = runtime::bind(*state_->engine, planned.plan, args, stream);
  runtime::TilesKey key = runtime::tiles_key(planned, state_->maker->pass, args, call);
  runtime::require_same_place(state_->key, key);
  state_->key = std::move(key);
  runtime::make(*state_, args, call, stream);
}

TileRows Tiles::read(Stream stream) const {
  const plan::TileLists& lists = state_->layout;
  TileRows out{.tile_q = tile_q(),
               .tile_k = tile_k(),
               .list_batch = lists.list_batch,
               .list_heads = lists.list_heads,
               .q_tiles = lists.q_tiles};
  out.rows.resize(static_cast<std::size_t>(lists.rows));
  runtime::require_no_capture(
      *state_->engine->device, stream,
      "tiles: reading waits for the stream, on which a CUDA graph is being captured");
  state_->engine->device->synchronize(stream);
  if (!runtime::is_empty(state_->key.shape)) runtime::read_rows(*state_, out);
  return out;
}

int Tiles::tile_q() const {
  return state_->key.tile_q;
}
int Tiles::tile_k() const {
  return state_->key.tile_k;
}

}  // namespace LACUNA_ABI
}  // namespace lacuna
