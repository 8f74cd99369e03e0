// The tiles that explain and show speak of against the lists that a call makes and reads.
#include "compiler/plan/tile_map.h"

#include "compiler/ir/bindings.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/route.h"
#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

namespace {

using namespace lacuna;
using plan::TileState;

const char* const bodies[] = {
    "tensor id: i32[batch, key]\nmask causal\nmask document(id)",
    "tensor hq: i32[batch, head, query]\ntensor hk: i32[batch, head, key]\nmask bucket(hq, hk) or "
    "k < 3",
    "mask dilated(40, 3)\nmask chunked(300)",
    "param n: i32\ntensor t: bool[head, 16, 16]\nmask window(150) or t[h, q // 64 & 15, k // 64 & "
    "15]\nmask q - k < 400 + n",
};

/// The states that a row of the lists holds, from the words of the workspace.
std::vector<TileState> states_of(const plan::TileLists& lists, const std::vector<std::byte>& bytes,
                                 std::int64_t row, std::int64_t columns) {
  const auto word = [&](const plan::Buffer& buffer, std::int64_t index) {
    std::int32_t value;
    std::memcpy(&value, bytes.data() + buffer.at + 4 * index, sizeof value);
    return value;
  };
  std::vector<TileState> states(static_cast<std::size_t>(columns), TileState::skipped);
  const std::int32_t partial = word(lists.row_offsets, 2 * row + 1);
  for (std::int32_t i = word(lists.row_offsets, 2 * row); i < word(lists.row_offsets, 2 * row + 2);
       ++i)
    states.at(static_cast<std::size_t>(word(lists.row_indices, i))) =
        i < partial ? TileState::full : TileState::partial;
  return states;
}

struct Listed {
  plan::TileLists lists;
  std::vector<std::byte> workspace;
};

/// Runs a call on its listed route, and keeps what its lists are.
Listed run(EngineState& engine, const runtime::Planned& planned, Args args, const Shape& shape) {
  const plan::Plan& plan = planned.plan;
  plan::ListTraits traits = plan.lists;
  traits.by_batch |= args.offsets.data != nullptr;
  Listed made{plan::tile_lists(plan.passes.back(), plan.spec, shape, traits), {}};
  std::vector<std::byte> memory(plan::list_bytes(plan, shape) + 16);
  std::byte* start = memory.data() + (16 - reinterpret_cast<std::uintptr_t>(memory.data()) % 16);
  const auto bytes = static_cast<std::int64_t>(memory.size() - 16);
  args.workspace = TensorView::contiguous(start, DType::u8, {bytes});
  runtime::forward(engine, planned, args, {}, nullptr, plan::Route{.listed = true});
  made.workspace.assign(start, start + bytes);
  return made;
}

/// Every head of every sequence. Returns how many tiles were compared.
std::int64_t compare(const plan::Plan& plan, const ir::Call& call,
                     const std::vector<ir::Sequence>& sequences, const Listed& made) {
  const plan::Pass& pass = plan.passes.back();
  const bool packed = plan.spec.lengths == Lengths::packed;
  const ir::CallBindings bindings(plan.spec.pattern.tree(), call, sequences, packed);
  const auto i32 = [](std::int64_t x) { return static_cast<std::int32_t>(x); };
  std::int64_t tiles = 0;
  for (std::size_t b = 0; b < sequences.size(); ++b)
    for (std::int64_t h = 0; h < call.shape.heads; ++h) {
      const ir::Sequence& s = sequences[b];
      const ir::Site site{.b = i32(b),
                          .h = i32(h),
                          .g = i32(h / (call.shape.heads / call.shape.kv_heads)),
                          .q_len = i32(s.q_len),
                          .k_len = i32(s.k_len),
                          .batch = i32(call.shape.batch),
                          .heads = i32(call.shape.heads),
                          .kv_heads = i32(call.shape.kv_heads),
                          .head_dim = plan.spec.head_dim};
      const plan::TileMap map = plan::tile_map(plan, pass, site, s.offset, bindings);
      const std::int64_t list = (made.lists.list_batch == 1 ? 0 : b) * made.lists.list_heads +
                                h / (call.shape.heads / made.lists.list_heads);
      // templates/tiles/places.cuh: from the last tile on, or by the sequence.
      const auto slot = [&](std::int64_t row) {
        return packed ? s.q_start / pass.schedule.tile_q + static_cast<std::int64_t>(b) + row
                      : made.lists.q_tiles - 1 - row;
      };
      for (std::int64_t row = 0; row < map.rows; ++row) {
        const auto said = map.states.begin() + row * map.columns;
        INFO("b=" << b << " h=" << h << " row " << row << " of tiles, of " << s.q_len << " x "
                  << s.k_len << " pairs");
        REQUIRE(states_of(made.lists, made.workspace, list * made.lists.q_tiles + slot(row),
                          map.columns) == std::vector<TileState>(said, said + map.columns));
        tiles += map.columns;
      }
    }
  return tiles;
}

}  // namespace

TEST_CASE("tiles that explain counts are those of the lists that the device makes") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  std::int64_t tiles = 0;
  for (const tests::TestEngine& engine : tests::engines()) {
    if (engine.state->device->kind() == DeviceKind::cuda) continue;  // lists are read from here
    if (engine.name.find("unchecked") == std::string::npos) continue;
    for (const char* body : bodies) {
      Spec spec{.pattern = Pattern::parse(fmt::format("attention lists {{\n{}\n}}\n", body)),
                .dtype = DType::bf16};
      spec.head_dim = spec.value_dim = 16;
      spec.lengths = draw.of({Lengths::uniform, Lengths::padded, Lengths::packed});
      spec.storage = fuzz::random_storage(random, spec.pattern.tree());
      Shape shape{2, 2, 1, draw.between(65, 200), draw.between(200, 900)};
      // Packed, queries that stand at the end of their keys are as many.
      if (spec.lengths == Lengths::packed) shape.queries = shape.keys = draw.between(65, 400);
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape, fuzz::Reliance::positions);
      INFO(engine.name << "\n"
                       << spec.pattern.text() << "lengths " << static_cast<int>(spec.lengths)
                       << " Nq=" << shape.queries << " Nk=" << shape.keys);
      const auto planned = runtime::planned_for(*engine.state, spec);
      const ir::Call bound = ir::bind(spec, call.args);
      const Listed made = run(*engine.state, *planned, call.args, bound.shape);
      tiles += compare(planned->plan, bound, ir::sequences_of(spec, call.args, bound), made);
    }
  }
  for (const tests::TestEngine& engine : tests::engines())
    if (engine.state->device->kind() == DeviceKind::host) CHECK(tiles > 0);
}
