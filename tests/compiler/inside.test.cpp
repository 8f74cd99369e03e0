// Which calls have every read of their masks inside its tensor: the proof from extents alone,
// against the indices themselves, at every pair of every sequence.
#include "compiler/plan/inside.h"

#include "compiler/ir/bindings.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <array>

namespace {

using namespace lacuna;

struct Index {
  const char* text;
  bool exact;  ///< its span over a sequence is what it takes there
};
// `c` is a param. `t` has a key axis, `u` one of any extent, `f` one of 7.
constexpr Index indices[] = {
    {"t[b, q]", true},
    {"t[b, k]", true},
    {"t[b, q + c]", true},
    {"t[b, k + c]", true},
    {"t[b, k_len - 1 - k]", true},
    {"t[b, q - (k_len - q_len)]", false},
    {"t[b, max(q - c, 0)]", true},
    {"t[b, min(max(q, 0), k_len - 1)]", true},
    {"t[b, abs(q - k)]", false},
    {"t[b, q % k_len]", false},
    {"u[q // 3]", true},
    {"u[b]", true},
    {"u[h + 1]", true},
    {"u[(q + k) // 2]", false},
    {"f[g + heads]", true},
    {"f[q & 7]", false},
    {"f[k % 7]", false},
    {"u[t[b, k]]", false},
    {"u[head_dim // 16]", true},
};

/// Whether a read of a mask has an index outside, at some pair of some sequence.
class EveryPair {
 public:
  EveryPair(const Spec& spec, const ir::Call& call, const std::vector<ir::Sequence>& sequences)
      : pattern_(spec.pattern.tree()),
        call_(call),
        sequences_(sequences),
        bindings_(pattern_, call, sequences, spec.lengths == Lengths::packed),
        head_dim_(spec.head_dim) {}

  bool leaves() const {
    const Shape& shape = call_.shape;
    for (std::size_t b = 0; b < sequences_.size(); ++b)
      for (std::int64_t h = 0; h < shape.heads; ++h)
        for (std::int64_t row = 0; row < sequences_[b].q_len; ++row)
          for (std::int64_t k = 0; k < sequences_[b].k_len; ++k)
            if (leaves(site(b, h, row, k), pattern_.masks.front().expr)) return true;
    return false;
  }

 private:
  ir::Site site(std::size_t b, std::int64_t h, std::int64_t row, std::int64_t k) const {
    const auto i32 = [](auto x) { return static_cast<std::int32_t>(x); };
    const ir::Sequence& s = sequences_[b];
    const Shape& shape = call_.shape;
    return {.b = i32(b),
            .h = i32(h),
            .g = i32(h / (shape.heads / shape.kv_heads)),
            .q = i32(row + s.offset),
            .k = i32(k),
            .q_len = i32(s.q_len),
            .k_len = i32(s.k_len),
            .batch = i32(shape.batch),
            .heads = i32(shape.heads),
            .kv_heads = i32(shape.kv_heads),
            .head_dim = head_dim_};
  }
  /// Operands before the read: one that leaves its own tensor is not read through.
  bool leaves(const ir::Site& site, ir::NodeId id) const {
    const ir::Node& node = pattern_.graph[id];
    const auto operands = pattern_.graph.operands(id);
    for (const ir::NodeId operand : operands)
      if (leaves(site, operand)) return true;
    if (node.op != ir::Op::read) return false;
    for (std::size_t axis = 0; axis < operands.size(); ++axis) {
      const ir::AxisKind kind = pattern_.tensors[node.payload].axes[axis].kind;
      if (kind == ir::AxisKind::batch) continue;
      const std::int32_t index =
          ir::evaluate(pattern_.graph, operands[axis], site, bindings_).integer;
      if (index < 0 || index >= bindings_.extent(node.payload, axis, site)) return true;
    }
    return false;
  }

  const ir::Pattern& pattern_;
  const ir::Call& call_;
  const std::vector<ir::Sequence>& sequences_;
  ir::CallBindings bindings_;
  int head_dim_;
};

}  // namespace

TEST_CASE("reads are proved inside sequence by sequence, and none that leaves is") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  std::array<std::array<int, 2>, 3> verdicts{};  // by lengths: proved, not
  for (int round = 0; round < 60; ++round)
    for (const auto& [text, exact] : indices) {
      const Spec spec{.pattern = Pattern::parse(
                          fmt::format("attention a {{ param c: i32\n tensor t: i32[batch, key]\n"
                                      "tensor u: i32[_]\n tensor f: i32[7]\n mask {} == 1 }}",
                                      text)),
                      .head_dim = 32,
                      .value_dim = 16,
                      .lengths = draw.of({Lengths::uniform, Lengths::padded, Lengths::packed})};
      Shape shape{.batch = draw.between(1, 3),
                  .heads = draw.of({1, 2, 4}),
                  .kv_heads = 1,
                  .queries = draw.between(1, 12),
                  .keys = draw.between(1, 12)};
      const bool own = draw.chance(0.5);
      if (own) shape.keys = shape.queries;
      const auto reliance = own ? fuzz::Reliance::positions : fuzz::Reliance::nothing;
      fuzz::OwnedCall owned = fuzz::random_call(random, spec, shape, reliance);
      const NamedValue c{"c", std::int32_t{draw.between(-2, 9)}};
      owned.args.params = {&c, 1};
      const ir::Call call = ir::bind(spec, owned.args, ir::Needs::shapes);
      const auto sequences = ir::sequences_of(spec, owned.args, call);
      const plan::Plan plan = plan::plan(spec, {.arch = {90}, .checked = true});
      const bool proved = !plan::read_outside(plan, call, sequences);
      const bool leaves = EveryPair(spec, call, sequences).leaves();
      INFO(fmt::format("{} c={} B={} H={} Nq={} Nk={} {}", text, std::get<std::int32_t>(c.value),
                       shape.batch, shape.heads, shape.queries, shape.keys,
                       fmt::join(owned.notes, " ")));
      REQUIRE(!(proved && leaves));
      if (exact) REQUIRE(proved == !leaves);
      ++verdicts[static_cast<std::size_t>(spec.lengths)][proved ? 0 : 1];
    }
  for (const auto& of : verdicts) {
    CHECK(of[0] > 50);
    CHECK(of[1] > 50);
  }
}

TEST_CASE("the first mask that may read outside is named, whichever sequence does") {
  const Spec spec{.pattern = Pattern::parse("attention a { tensor t: i32[batch, key]\n"
                                            "mask t[b, k] == 1\n mask t[b, k + 1] == 1\n"
                                            "mask t[b, q] == 2\n mask causal }"),
                  .head_dim = 16,
                  .value_dim = 16,
                  .lengths = Lengths::packed};
  const plan::Plan plan = plan::plan(spec, {.arch = {90}, .checked = true});
  ir::Call call;
  call.shape = {.batch = 3, .heads = 1, .kv_heads = 1, .queries = 9, .keys = 9};
  call.tensors = {TensorView::contiguous(nullptr, DType::i32, {3, 9})};
  const auto first = [&](const std::vector<ir::Sequence>& sequences) -> std::string {
    const plan::Conjunct* c = plan::read_outside(plan, call, sequences);
    return c ? c->text : "";
  };
  CHECK(first({{0, 0, 0, 4, 4}, {0, 9, 4, 0, 0}}) == "");  // no pairs, no reads
  CHECK(first({{0, 0, 0, 4, 4}, {0, 5, 4, 5, 0}}) == "t[b, k + 1] == 1");
  // The queries of the first sequence leave it too, but their mask comes later.
  CHECK(first({{0, 5, 0, 4, -1}, {5, 4, 4, 5, 0}}) == "t[b, k + 1] == 1");
}
