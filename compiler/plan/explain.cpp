#include "compiler/plan/explain.h"

#include "compiler/ir/print.h"
#include "compiler/plan/route.h"
#include "compiler/plan/tile_map.h"

#include <fmt/format.h>

#include <stdexcept>

namespace lacuna::plan {
namespace {

std::string place(const Span& span) {
  return span.line ? fmt::format("{}:{}", span.file, span.line) : span.file;
}

// A strategy that would be better than testing elements, and is not offered yet, is said so.
std::string reason(const Conjunct& c) {
  if (c.taken == c.best || c.as_wished) return c.why;
  return fmt::format("{}; '{}' would fit and is not yet taken", c.why, name_of(c.best));
}

void explain_conjuncts(std::string& out, const Plan& plan) {
  if (plan.conjuncts.empty()) {
    out += "mask: none, every key is visible\n";
    return;
  }
  out += "mask\n";
  bool all_bands = true;
  for (const Conjunct& c : plan.conjuncts) {
    out += fmt::format("  {:9} {}    [{}]\n            {}\n", name_of(c.taken), c.text,
                       place(c.where), reason(c));
    all_bands &= c.taken == Strategy::band;
  }
  out += all_bands ? "  tiles inside the bands are FULL and run without mask code\n"
                   : "  every visited tile is PARTIAL: its elements are tested\n";
}

void explain_score(std::string& out, const Plan& plan) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  if (pattern.score != ir::no_node)
    out += fmt::format("score     {}    [{}]\n", ir::print(pattern.graph, pattern.score, pattern),
                       place(pattern.score_where.front()));
  out += fmt::format("weights   softmax{}\n",
                     pattern.weights.sink != ir::no_node ? " with a sink" : "");
}

/// "flash_forward", "flash_forward over splits of the keys", "combine".
std::string title(const Pass& pass) {
  return fmt::format("{}{}", name_of(pass.kind), pass.split ? " over splits of the keys" : "");
}

void explain_passes(std::string& out, const Plan& plan) {
  const Spec& spec = plan.spec;
  for (const Pass& pass : plan.passes) {
    const Schedule& s = pass.schedule;
    if (pass.kind == PassKind::combine) {
      out += fmt::format("pass      combine, {} warps, each a row\n", s.warps);
      continue;
    }
    out += fmt::format("pass      {} on machine/{}, {} {} D={} Dv={} -> {}\n", title(pass),
                       name_of(pass.machine), plan.facts.arch.name(), name_of(spec.dtype),
                       spec.head_dim, spec.value_dim, name_of(spec.output.value_or(spec.dtype)));
    out +=
        fmt::format("            tiles {}x{}, {} warps, {} {}, {} bytes of shared memory of {}\n",
                    s.tile_q, s.tile_k, s.warps, s.stages, s.stages == 1 ? "stage" : "stages",
                    pass.shared_bytes, row(plan.facts.arch).shared_per_block);
  }
}

void explain_routes(std::string& out, const Plan& plan) {
  const Schedule& s = plan.passes[1].schedule;
  const std::string tile =
      plan.unpacked_by.empty()
          ? "heads that share K and V share a tile"
          : fmt::format("each head has tiles of its own, for '{}' reads the head",
                        plan.unpacked_by);
  out += fmt::format(
      "routes\n"
      "  plain     flash_forward\n"
      "  decode    flash_forward over splits of the keys, then combine; {}\n"
      "            taken where at most {} rows share K and V, the plain grid has fewer CTAs than "
      "the {} SMs,\n"
      "            and two splits or more get {} keys each\n",
      tile, most_row_tiles * s.tile_q, multiprocessors(plan.facts), least_key_tiles * s.tile_k);
}

void explain_variants(std::string& out, const Plan& plan) {
  out += "variants\n";
  for (const Variant& v : plan.variants)
    out += v.aligned ? "  aligned   every row of Q, K, V and O starts on 16 bytes: 16-byte loads\n"
                     : "  unaligned any strides: element loads, slower\n";
}

/// Params at their defaults. A plan whose bands need more than that has no map without a call.
class Defaults : public ir::Bindings {
 public:
  explicit Defaults(const ir::Pattern& pattern) : pattern_(pattern) {}
  ir::Value param(std::uint32_t index) const override {
    const Literal& value = *pattern_.params[index].initial;
    if (const auto* integer = std::get_if<std::int32_t>(&value)) return {*integer, 0};
    if (const auto* boolean = std::get_if<bool>(&value)) return {*boolean, 0};
    return {0, std::get<float>(value)};
  }
  ir::Value read(std::uint32_t, std::span<const std::int32_t>, const ir::Site&) const override {
    throw std::logic_error("bands that read a tensor have no map without a call");
  }

 private:
  const ir::Pattern& pattern_;
};

/// What the bands of a plan need beyond positions and defaults: "tensor 'n'", or "".
std::string needed_by_bands(const ir::Pattern& pattern, ir::NodeId id) {
  const ir::Node& node = pattern.graph[id];
  if (node.op == ir::Op::read)
    return fmt::format("tensor '{}'", pattern.tensors[node.payload].name);
  if (node.op == ir::Op::param && !pattern.params[node.payload].initial)
    return fmt::format("param '{}'", pattern.params[node.payload].name);
  for (const ir::NodeId operand : pattern.graph.operands(id))
    if (std::string needed = needed_by_bands(pattern, operand); !needed.empty()) return needed;
  return "";
}

std::string needed_by_bands(const Plan& plan) {
  for (const Conjunct& c : plan.conjuncts)
    for (const Band& band : c.bands)
      for (const Affine* side : {&band.left, &band.right})
        for (const auto& [atom, factor] : side->atoms)
          if (std::string needed = needed_by_bands(plan.spec.pattern.tree(), atom); !needed.empty())
            return needed;
  return "";
}

void explain_tiles(std::string& out, const Plan& plan, const Pass& pass, const Shape& shape) {
  if (plan.spec.lengths == Lengths::packed) return;
  if (const std::string needed = needed_by_bands(plan); !needed.empty()) {
    out += fmt::format("            tiles depend on {}: 'lacuna show' counts them for a call\n",
                       needed);
    return;
  }
  const auto i32 = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  const ir::Site site{.q_len = i32(shape.queries),
                      .k_len = i32(shape.keys),
                      .batch = i32(shape.batch),
                      .heads = i32(shape.heads),
                      .kv_heads = i32(shape.kv_heads),
                      .head_dim = plan.spec.head_dim};
  const TileCounts tiles = count_tiles(plan, pass, site, i32(shape.keys - shape.queries),
                                       Defaults(plan.spec.pattern.tree()));
  out += fmt::format("            tiles of a head: {} FULL, {} PARTIAL, {} skipped\n", tiles.full,
                     tiles.partial, tiles.skipped);
}

void explain_shape(std::string& out, const Plan& plan, const Shape& shape) {
  const Spec& spec = plan.spec;
  const double rows = static_cast<double>(shape.batch) * shape.heads * shape.queries;
  const double flops = 2.0 * rows * shape.keys * (spec.head_dim + spec.value_dim);
  const double in = size_of(spec.dtype), q = rows * spec.head_dim * in;
  const double kv = static_cast<double>(shape.batch) * shape.kv_heads * shape.keys *
                    (spec.head_dim + spec.value_dim) * in;
  const double o = rows * spec.value_dim * size_of(spec.output.value_or(spec.dtype));
  out += fmt::format("shape     B={} H={} G={} Nq={} Nk={}\n", shape.batch, shape.heads,
                     shape.kv_heads, shape.queries, shape.keys);
  const Route taken = route(plan, shape);
  out += taken.decode ? fmt::format("            route decode, {} splits\n", taken.splits)
                      : "            route plain\n";
  for (const Pass& pass : passes_of(plan, taken)) {
    out += fmt::format("            {}: {} CTAs\n", title(pass),
                       grid(pass, spec, shape, taken.splits).blocks);
    if (!taken.decode) explain_tiles(out, plan, pass, shape);
  }
  out += fmt::format(
      "            dense work {:.3g} flops, {:.3g} bytes of Q, K, V and O, workspace {} bytes\n",
      flops, q + kv + o, workspace_bytes(plan, shape, taken));
}

}  // namespace

std::string explain(const Plan& plan, const std::optional<Shape>& shape) {
  std::string out = fmt::format("attention {}    plan {}\n", plan.spec.pattern.name(), plan.digest);
  explain_conjuncts(out, plan);
  explain_score(out, plan);
  explain_passes(out, plan);
  explain_routes(out, plan);
  explain_variants(out, plan);
  if (shape) explain_shape(out, plan, *shape);
  return out;
}

}  // namespace lacuna::plan
