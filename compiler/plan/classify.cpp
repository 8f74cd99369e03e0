#include "compiler/plan/classify.h"

#include "lacuna/tensor.hpp"

#include "compiler/plan/any_span.h"

#include <algorithm>
#include <array>

namespace lacuna::plan {
namespace {

using ir::Type;
using Kind = SpanStep::Kind;

AnySpan join(Type type, const AnySpan& a, const AnySpan& b) {
  if (type == Type::f32) return spans::join(a.real, b.real);
  if (type == Type::boolean) return spans::join(a.truth, b.truth);
  return spans::join(a.integer, b.integer);
}
PackedSpan pack(Type type, const AnySpan& a) {
  const U2 x = type == Type::f32       ? spans::pack(a.real)
               : type == Type::boolean ? spans::pack(a.truth)
                                       : spans::pack(a.integer);
  return {x.x, x.y};
}
AnySpan unpack(Type type, PackedSpan a) {
  const U2 x{a.x, a.y};
  if (type == Type::f32) return spans::unpacked<spans::Real>(x);
  if (type == Type::boolean) return spans::unpacked<spans::Bool>(x);
  return spans::unpacked<spans::Int>(x);
}

Truth truth_of(const AnySpan& a) {
  return !a.truth.yes ? Truth::none : a.truth.no ? Truth::some : Truth::all;
}

bool is_inside(ir::AxisKind kind) {
  return kind == ir::AxisKind::batch || kind == ir::AxisKind::head ||
         kind == ir::AxisKind::kv_head || kind == ir::AxisKind::query;
}

/// Reads as generated code does without checks: an index that may lie outside is clamped, and a
/// tensor without elements reads as zero.
class ClampedReads final : public ir::Bindings {
 public:
  ClampedReads(const ir::Pattern& pattern, const ir::Bindings& bindings)
      : pattern_(pattern), bindings_(bindings) {}

  ir::Value param(std::uint32_t index) const override { return bindings_.param(index); }
  std::int64_t extent(std::uint32_t tensor, std::size_t axis, const ir::Site& site) const override {
    return is_inside(pattern_.tensors[tensor].axes[axis].kind)
               ? -1
               : bindings_.extent(tensor, axis, site);
  }
  std::int32_t clamped(std::uint32_t tensor, std::size_t axis, std::int32_t index,
                       const ir::Site& site) const {
    const std::int64_t e = extent(tensor, axis, site);
    return e < 0 ? index
                 : static_cast<std::int32_t>(
                       std::max<std::int64_t>(0, std::min<std::int64_t>(index, e - 1)));
  }
  ir::Value read(std::uint32_t tensor, std::span<const std::int32_t> indices,
                 const ir::Site& site) const override {
    std::array<std::int32_t, max_rank> inside{};
    for (std::size_t axis = 0; axis < indices.size(); ++axis) {
      if (extent(tensor, axis, site) == 0) return {};
      inside[axis] = clamped(tensor, axis, indices[axis], site);
    }
    return bindings_.read(tensor, {inside.data(), indices.size()}, site);
  }

 private:
  const ir::Pattern& pattern_;
  const ir::Bindings& bindings_;
};

}  // namespace

struct Classifier::State {
  State(const ir::Pattern& of, const SpanProgram& run, const ir::Site& at, const ir::Bindings& b)
      : pattern(of), program(run), site(at), reads(of, b), evaluator(of.graph, reads) {
    evaluator.move_to(site);
    for (const ir::NodeId node : run.uniforms)
      uniforms.push_back(point_of(type_of(node), evaluator.value(node)));
    values.resize(run.steps.size());
  }

  const ir::Pattern& pattern;
  const SpanProgram& program;
  ir::Site site;
  ClampedReads reads;
  ir::Evaluator evaluator;
  std::vector<AnySpan> uniforms, values;

  Type type_of(ir::NodeId node) const { return pattern.graph[node].type; }
  Summary summary(const std::vector<ir::NodeId>& nodes, std::int32_t ir::Site::*position,
                  std::int32_t first, std::int32_t last);
  AnySpan step(const SpanStep& s, const Box& box, const Summary& queries, const Summary& keys);
  AnySpan narrowed(const SpanStep& s) const;
  AnySpan read(const SpanStep& s) const;
};

/// A hull that starts with the first point, as generated code starts it.
Summary Classifier::State::summary(const std::vector<ir::NodeId>& nodes,
                                   std::int32_t ir::Site::*position, std::int32_t first,
                                   std::int32_t last) {
  Summary summary(nodes.size());
  if (nodes.empty()) return summary;
  const std::uint32_t count = static_cast<std::uint32_t>(ir::scalar::wrap_sub(last, first)) + 1;
  for (std::uint32_t at = 0; at < count; ++at) {
    ir::Site here = site;
    here.*position = ir::scalar::wrap_add(first, static_cast<std::int32_t>(at));
    evaluator.move_to(here);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const Type type = type_of(nodes[i]);
      const AnySpan one = point_of(type, evaluator.value(nodes[i]));
      summary[i] = pack(type, at == 0 ? one : join(type, unpack(type, summary[i]), one));
    }
  }
  return summary;
}

/// Exact over a small box of indices.
AnySpan Classifier::State::read(const SpanStep& s) const {
  const std::uint32_t tensor = pattern.graph[s.number].payload;
  const std::size_t rank = s.operands.size();
  std::array<spans::Int, max_rank> box{};
  std::array<std::int32_t, max_rank> at{};
  std::int64_t count = 1;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const spans::Int& index = values[s.operands[axis]].integer;
    box[axis] = {reads.clamped(tensor, axis, index.lo, site),
                 reads.clamped(tensor, axis, index.hi, site)};
    at[axis] = box[axis].lo;
    count *= std::min<std::int64_t>(std::int64_t{box[axis].hi} - box[axis].lo + 1, 1000);
    if (count > spans::most_reads) return whole_of(s.type);
  }
  AnySpan hull;
  for (std::int64_t i = 0; i < count; ++i) {
    const AnySpan one = point_of(s.type, reads.read(tensor, {at.data(), rank}, site));
    hull = i == 0 ? one : join(s.type, hull, one);
    for (std::size_t axis = rank; axis-- > 0;) {
      if (at[axis]++ < box[axis].hi) break;
      at[axis] = box[axis].lo;
    }
  }
  return hull;
}

AnySpan Classifier::State::narrowed(const SpanStep& s) const {
  const spans::Int &x = values[s.operands[0]].integer, &y = values[s.operands[1]].integer;
  switch (s.kind) {
    case Kind::at_most:
      return spans::at_most(x, y);
    case Kind::at_least:
      return spans::at_least(x, y);
    case Kind::below:
      return spans::below(x, y);
    case Kind::above:
      return spans::above(x, y);
    case Kind::meet:
      return spans::meet(x, y);
    default:
      return spans::congruent(x, y, values[s.operands[2]].integer);
  }
}

AnySpan Classifier::State::step(const SpanStep& s, const Box& box, const Summary& queries,
                                const Summary& keys) {
  switch (s.kind) {
    case Kind::query:
      return spans::Int{box.q0, box.q1};
    case Kind::key:
      return spans::Int{box.k0, box.k1};
    case Kind::query_value:
      return unpack(s.type, queries[s.number]);
    case Kind::key_value:
      return unpack(s.type, keys[s.number]);
    case Kind::uniform:
      return uniforms[s.number];
    case Kind::read:
      return read(s);
    case Kind::rule:
      return apply(s.op, [&](int i) -> const AnySpan& { return values[s.operands[i]]; });
    case Kind::known:
      return spans::point(s.number != 0);
    default:
      return narrowed(s);
  }
}

Classifier::Classifier(const ir::Pattern& pattern, const SpanProgram& program, const ir::Site& site,
                       const ir::Bindings& bindings)
    : state_(std::make_unique<State>(pattern, program, site, bindings)) {}

Classifier::~Classifier() = default;

Summary Classifier::queries(std::int32_t q0, std::int32_t q1) {
  return state_->summary(state_->program.query_values, &ir::Site::q, q0, q1);
}

Summary Classifier::keys(std::int32_t k0, std::int32_t k1) {
  return state_->summary(state_->program.key_values, &ir::Site::k, k0, k1);
}

Truth Classifier::classify(const Box& box, const Summary& queries, const Summary& keys) {
  State& s = *state_;
  for (std::size_t i = 0; i < s.program.steps.size(); ++i)
    s.values[i] = s.step(s.program.steps[i], box, queries, keys);
  return truth_of(s.values[s.program.result]);
}

Truth Classifier::conjunct(std::size_t index) const {
  return truth_of(state_->values[state_->program.conjuncts[index]]);
}

TileTruths classify_tiles(const ir::Pattern& pattern, const SpanProgram& program,
                          const ir::Site& site, std::int32_t offset, const ir::Bindings& bindings,
                          int tile_q, int tile_k) {
  Classifier classifier(pattern, program, site, bindings);
  const auto last = [](std::int64_t first, int tile, std::int32_t count) {
    return static_cast<std::int32_t>(std::min<std::int64_t>(first + tile, count) - 1);
  };
  TileTruths tiles;
  std::vector<Summary> columns;
  for (std::int64_t k = 0; k < site.k_len; k += tile_k)
    columns.push_back(classifier.keys(static_cast<std::int32_t>(k), last(k, tile_k, site.k_len)));
  tiles.columns = static_cast<std::int64_t>(columns.size());
  for (std::int64_t row = 0; row < site.q_len; row += tile_q, ++tiles.rows) {
    const std::int32_t q0 = ir::scalar::wrap_add(static_cast<std::int32_t>(row), offset);
    const std::int32_t q1 = ir::scalar::wrap_add(last(row, tile_q, site.q_len), offset);
    const Summary queries = classifier.queries(q0, q1);
    const spans::Int positions = q0 <= q1 ? spans::Int{q0, q1} : spans::whole_int();
    for (std::int64_t column = 0; column < tiles.columns; ++column) {
      const std::int64_t k = column * tile_k;
      const Box box{positions.lo, positions.hi, static_cast<std::int32_t>(k),
                    last(k, tile_k, site.k_len)};
      tiles.truths.push_back(classifier.classify(box, queries, columns[column]));
    }
  }
  return tiles;
}

}  // namespace lacuna::plan
