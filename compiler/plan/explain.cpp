#include "compiler/plan/explain.h"

#include "compiler/ir/print.h"
#include "compiler/plan/decided.h"
#include "compiler/plan/entmax.h"
#include "compiler/plan/inverse.h"
#include "compiler/plan/lists.h"
#include "compiler/plan/materialise.h"
#include "compiler/plan/route.h"
#include "compiler/plan/short_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace lacuna::plan {
namespace {

std::string place(const Span& span) {
  return span.line ? fmt::format("{}:{}", span.file, span.line) : span.file;
}

// A strategy that would be better than the one taken, and is not offered yet, is said so; and of
// tiles whether spans decide them.
std::string reason(const Plan& plan, const Conjunct& c) {
  std::string why = c.why;
  if (c.taken != c.best && !c.as_wished)
    why += fmt::format("; '{}' would fit and is not yet taken", name_of(c.best));
  if (c.taken != Strategy::tiles) return why;
  const Decision spans = decided_by_spans(plan, c);
  return why + (spans.decided ? "; spans decide it" : "; spans leave it open: " + spans.why);
}

bool is_listed(const Plan& plan) {
  return list_reader(plan) != nullptr;
}

/// What settles the tiles that spans leave open, and why that is worth it.
void explain_test(std::string& out, const Plan& plan) {
  const TileTest test = tile_test(plan);
  out += fmt::format("  tiles are classified before {}: FULL ones run without mask code\n",
                     name_of(list_reader(plan)->kind));
  if (!test.elements) {
    out += "  spans     decide every tile: an open one has a live element\n";
    return;
  }
  const std::string culprit = test.conjunct.empty() ? "the masks together" : test.conjunct;
  out += fmt::format(
      "  elements  settle what spans leave open, for {}: {}\n"
      "            at most {} operations a pair, once for all heads that share a list; to visit an "
      "empty tile takes\n"
      "            as many, and {} flops a pair, in each of them\n",
      culprit, test.why, test.operations, test.visit);
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
                       place(c.where), reason(plan, c));
    all_bands &= c.taken == Strategy::band;
  }
  if (is_listed(plan)) return explain_test(out, plan);
  out += all_bands ? "  tiles inside the bands are FULL and run without mask code\n"
                   : "  every visited tile is PARTIAL: its elements are tested\n";
}

void explain_entmax(std::string& out, const Plan& plan) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  const int power = entmax_power(pattern);
  out += fmt::format("weights   entmax({}): u^{} by {}\n",
                     ir::print(pattern.graph, pattern.weights.alpha, pattern),
                     power ? std::to_string(power) : "(1/(alpha-1))",
                     power ? "products" : "exp2 and log2");
  out += fmt::format(
      "  threshold finds zmax and the gap in one pass over K where the candidates of a row, {} a "
      "lane, find room;\n"
      "            where they do not it goes on with sums of all scores, which estimate them,\n"
      "            and walks K once more, seldom twice, for exact ones\n",
      candidate_most);
  const Inverse inverse = inverse_of(plan.spec);
  const bool exact = plan.spec.dtype == DType::f32;
  const std::string tells = "sums of products begin with it, and a sign tells a candidate";
  if (exact || !inverse.why_not.empty())
    out += fmt::format(
        "            scores are computed first, and compared with their row's gate: {}\n",
        exact ? "f32 would show how sums that begin with one are rounded" : inverse.why_not);
  else if (inverse.steps.empty())
    out += fmt::format("            a row has a gate: {}\n", tells);
  else
    out += fmt::format("            a row's gate passes back through the score: {}\n", tells);
}

void explain_score(std::string& out, const Plan& plan) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  if (pattern.score != ir::no_node)
    out += fmt::format("score     {}    [{}]\n", ir::print(pattern.graph, pattern.score, pattern),
                       place(pattern.score_where.front()));
  if (weighs_by_entmax(plan)) return explain_entmax(out, plan);
  out += fmt::format("weights   softmax{}\n",
                     pattern.weights.sink != ir::no_node ? " with a sink" : "");
}

/// "flash_forward", "flash_forward over splits of the keys", "flash_forward over lists", "combine".
std::string title(const Pass& pass) {
  if (pass.kind == PassKind::short_rows) return name_of(pass);
  return fmt::format("{}{}", name_of(pass.kind),
                     pass.split    ? " over splits of the keys"
                     : pass.listed ? " over lists"
                                   : "");
}

void explain_passes(std::string& out, const Plan& plan) {
  const Spec& spec = plan.spec;
  for (const Pass& pass : plan.passes) {
    const Schedule& s = pass.schedule;
    if (pass.kind == PassKind::combine) {
      out += fmt::format("pass      combine, {} warps, each a row\n", s.warps);
      continue;
    }
    if (pass.kind == PassKind::gather) {
      out += fmt::format("pass      gather, {} warps a row\n", s.warps);
      continue;
    }
    if (pass.kind == PassKind::tile_lists || pass.kind == PassKind::live_tiles) {
      out += fmt::format("pass      {} of tiles {}x{}, {} warps, each a row of tiles\n",
                         name_of(pass.kind), s.tile_q, s.tile_k, s.warps);
      continue;
    }
    out += fmt::format("pass      {} on machine/{}, {} {} D={} Dv={} -> {}\n", title(pass),
                       name_of(pass.machine), plan.facts.arch.name(), name_of(spec.dtype),
                       spec.head_dim, spec.value_dim, name_of(spec.output.value_or(spec.dtype)));
    out +=
        fmt::format("            tiles {}x{}, {} warps, {} {}, {} bytes of shared memory of {}\n",
                    s.tile_q, s.tile_k, s.warps, s.stages, s.stages == 1 ? "stage" : "stages",
                    pass.shared_bytes, row(plan.facts.arch).shared_per_block);
    out += escort_walks(plan, pass);
  }
}

std::string heads_of_tile(const Plan& plan) {
  return plan.unpacked_by.empty()
             ? "heads that share K and V share a tile"
             : fmt::format("each head has tiles of its own, for '{}' reads the head",
                           plan.unpacked_by);
}

/// The decode route of entmax.
void explain_few(std::string& out, const Plan& plan) {
  if (plan.spec.sparsity) return;
  const int rows = split_pass(plan).schedule.tile_q;
  out += fmt::format(
      "  decode    materialise over splits of the keys, then gather; {}\n"
      "            taken where at most {} rows share K and V, or {} where the plain grid has fewer "
      "CTAs than the {} SMs,\n"
      "            unless lists of candidates would outgrow K and V\n",
      heads_of_tile(plan), rows, most_row_tiles * rows, multiprocessors(plan.facts));
}

/// The short route of entmax.
void explain_short(std::string& out, const Plan& plan) {
  if (plan.facts.schedule) return;
  std::string widths, few;
  for (const Pass& pass : plan.passes) {
    if (pass.kind != PassKind::short_rows) continue;
    widths += fmt::format("{}{} keys in tiles of {} queries", widths.empty() ? "" : ", ",
                          pass.most_keys, pass.schedule.tile_q);
    if (pass.schedule.tile_q < widest_short_tile)
      few = fmt::format(
          "            of smaller tiles than {}, where the plain grid has fewer CTAs than the {} "
          "SMs\n",
          widest_short_tile, multiprocessors(plan.facts));
  }
  if (widths.empty()) return;
  out += fmt::format(
      "  short     short_rows, one launch: all scores of a tile of queries stay in shared memory;\n"
      "            taken up to {}\n{}",
      widths, few);
}

void explain_routes(std::string& out, const Plan& plan) {
  if (weighs_by_entmax(plan)) {
    out += "routes\n  plain     threshold, live_tiles, accumulate\n";
    explain_few(out, plan);
    explain_short(out, plan);
    if (is_listed(plan))
      out +=
          "  listed    tile_lists first, and threshold over lists; taken where reads are proved "
          "inside, or are not checked\n";
    return;
  }
  const Schedule& s = plan.passes[1].schedule;
  out += fmt::format(
      "routes\n"
      "  plain     flash_forward{}\n"
      "  decode    flash_forward over splits of the keys, then combine; {}\n"
      "            taken where at most {} rows share K and V, the plain grid has fewer CTAs than "
      "the {} SMs,\n"
      "            and two splits or more get {} keys each\n",
      is_listed(plan) ? "; taken where reads are checked and one may lie outside its tensor, or "
                        "lists would have too many tiles"
                      : "",
      heads_of_tile(plan), most_row_tiles * s.tile_q, multiprocessors(plan.facts),
      least_key_tiles * s.tile_k);
  if (is_listed(plan))
    out += "  listed    tile_lists, then flash_forward over lists; taken where decode is not\n";
}

void explain_variants(std::string& out, const Plan& plan) {
  out += "variants\n";
  for (const Variant& v : plan.variants)
    out += v.aligned ? "  aligned   every row of Q, K, V and O starts on 16 bytes: 16-byte loads\n"
                     : "  unaligned any strides: element loads, slower\n";
}

/// Params at their defaults, and no tensors.
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
    throw std::logic_error("masks that read a tensor have no tiles without a call");
  }

 private:
  const ir::Pattern& pattern_;
};

void add_needed(const ir::Pattern& pattern, ir::NodeId id, std::vector<bool>& seen,
                std::vector<Needed>& needed) {
  if (seen[id]) return;
  seen[id] = true;
  const ir::Node& node = pattern.graph[id];
  const auto add = [&](bool tensor, const std::string& name) {
    const bool known = std::any_of(needed.begin(), needed.end(), [&](const Needed& one) {
      return one.tensor == tensor && one.name == name;
    });
    if (!known) needed.push_back({tensor, name});
  };
  if (node.op == ir::Op::read) add(true, pattern.tensors[node.payload].name);
  if (node.op == ir::Op::param && !pattern.params[node.payload].initial)
    add(false, pattern.params[node.payload].name);
  for (const ir::NodeId operand : pattern.graph.operands(id))
    add_needed(pattern, operand, seen, needed);
}

/// What tiles depend on, and the flags that bring it.
std::string missing(const Plan& plan, const std::vector<Needed>& needed) {
  std::string what, flags;
  if (plan.spec.lengths == Lengths::packed) {
    what = "the lengths of packed sequences";
    flags = " --cu-seqlens-q F.npy --cu-seqlens-k F.npy";
  }
  for (const Needed& one : needed) {
    what += fmt::format("{}{} '{}'", what.empty() ? "" : ", ", one.tensor ? "tensor" : "param",
                        one.name);
    flags += one.tensor ? fmt::format(" --tensor {}=F.npy", one.name)
                        : fmt::format(" --param {}=X", one.name);
  }
  return fmt::format("depend on {}: 'lacuna explain' counts them with{}", what, flags);
}

HeadTiles default_tiles(const Plan& plan, const Shape& shape) {
  const std::vector<Needed> needed = needed_by_masks(plan);
  if (!needed.empty() || plan.spec.lengths == Lengths::packed)
    return {.unknown = missing(plan, needed)};
  const auto i32 = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  const ir::Site site{.q_len = i32(shape.queries),
                      .k_len = i32(shape.keys),
                      .batch = i32(shape.batch),
                      .heads = i32(shape.heads),
                      .kv_heads = i32(shape.kv_heads),
                      .head_dim = plan.spec.head_dim};
  const Defaults defaults(plan.spec.pattern.tree());
  const HeadCall head{site, i32(shape.keys - shape.queries), &defaults};
  return head_tiles(plan, shape, {&head, 1}, false);
}

void explain_tiles(std::string& out, const HeadTiles& tiles) {
  if (!tiles.unknown.empty()) {
    out += fmt::format("            tiles {}\n", tiles.unknown);
    return;
  }
  const TileCounts& c = tiles.counts;
  const Reasons& why = c.reasons;
  const std::string where =
      tiles.sequences == 1 ? "" : fmt::format(" in {} sequences", tiles.sequences);
  out += fmt::format("            tiles of a head{}: {} FULL, {} PARTIAL, {} skipped\n", where,
                     c.full, c.partial, c.skipped);
  if (const std::int64_t spans = c.skipped - why.outside - why.emptied; spans || why.tested)
    out += fmt::format("            skipped: {} outside the bands, {} by spans, {} by elements\n",
                       why.outside, spans, why.emptied);
  if (why.tested)
    out += fmt::format(
        "            elements settled {} that spans left open: {} empty, {} FULL, {} PARTIAL\n",
        why.tested, why.emptied, why.filled, why.tested - why.emptied - why.filled);
  if (!tiles.least) return;
  const TileCounts& least = *tiles.least;
  out +=
      fmt::format("            fewest possible: {} FULL, {} PARTIAL, by every pair{}; ", least.full,
                  least.partial, tiles.look == Look::everywhere ? "" : " of PARTIAL tiles");
  out += least.visited() ? fmt::format("visited are {:.3f} times as many\n",
                                       static_cast<double>(c.visited()) / least.visited())
                         : fmt::format("{} are visited\n", c.visited());
}

/// Why a plan with lists takes the plain route, as the end of a line.
std::string unlisted_by(const Plan& plan, const Shape& shape) {
  const std::string limit = is_listed(plan) ? list_limit(plan, shape) : "";
  return limit.empty() ? "" : "; " + limit;
}

void explain_shape(std::string& out, const Plan& plan, const Shape& shape, const HeadTiles* tiles) {
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
  out += taken.decode       ? fmt::format("            route decode, {} splits\n", taken.splits)
         : taken.listed     ? "            route listed\n"
         : taken.short_rows ? "            route short\n"
                            : fmt::format("            route plain{}\n", unlisted_by(plan, shape));
  for (const std::size_t index : passes_of(plan, taken)) {
    const Pass& pass = plan.passes[index];
    if (pass.kind == PassKind::tile_lists || pass.kind == PassKind::live_tiles) continue;
    const std::uint64_t blocks = grid(pass, spec, shape, taken.splits).blocks;
    if (pass.kind == PassKind::threshold)
      out += fmt::format("            {}: {} tiles of queries, by {} CTAs\n", title(pass), blocks,
                         threshold_ctas(plan, pass, shape));
    else
      out += fmt::format("            {}: {} CTAs\n", title(pass), blocks);
  }
  if (!taken.decode) explain_tiles(out, tiles ? *tiles : default_tiles(plan, shape));
  out += fmt::format(
      "            dense work {:.3g} flops, {:.3g} bytes of Q, K, V and O, workspace {}{} bytes\n",
      flops, q + kv + o, taken.listed ? "at most " : "", workspace_bytes(plan, shape, taken));
}

}  // namespace

std::vector<Needed> needed_by_masks(const Plan& plan) {
  const ir::Pattern& pattern = plan.spec.pattern.tree();
  std::vector<bool> seen(pattern.graph.size(), false);
  std::vector<Needed> needed;
  for (const Conjunct& c : plan.conjuncts) add_needed(pattern, c.expr, seen, needed);
  return needed;
}

HeadTiles head_tiles(const Plan& plan, const Shape& shape, std::span<const HeadCall> sequences,
                     bool least) {
  constexpr double most_tiles = 1 << 26, most_pairs = 1 << 28;
  if (sequences.empty()) return {.sequences = 0, .unknown = "are none: there is no sequence"};
  const Route taken = route(plan, shape);
  if (taken.decode) return {.unknown = "of decode are not counted"};
  const Pass& pass = taken.listed ? *list_reader(plan) : plan.passes[taken.short_rows];
  double pairs = 0;
  for (const HeadCall& one : sequences)
    pairs += static_cast<double>(one.site.q_len) * one.site.k_len;
  const double tiles = pairs / pass.schedule.tile_q / pass.schedule.tile_k;
  if (tiles > most_tiles && (pass.listed || least))
    return {.unknown = fmt::format("are too many to count here: about {:.3g}", tiles)};
  HeadTiles found{.sequences = static_cast<std::int64_t>(sequences.size())};
  found.look = pairs > most_pairs ? Look::partial : Look::everywhere;
  if (least) found.least.emplace();
  for (const HeadCall& one : sequences) {
    found.counts += count_tiles(plan, pass, one.site, one.offset, *one.bindings);
    if (least)
      *found.least += least_tiles(plan, pass, one.site, one.offset, *one.bindings, found.look);
  }
  return found;
}

std::string explain(const Plan& plan, const std::optional<Shape>& shape, const HeadTiles* tiles) {
  std::string out = fmt::format("attention {}    plan {}\n", plan.spec.pattern.name(), plan.digest);
  explain_conjuncts(out, plan);
  explain_score(out, plan);
  explain_passes(out, plan);
  explain_routes(out, plan);
  explain_variants(out, plan);
  if (shape) explain_shape(out, plan, *shape, tiles);
  return out;
}

}  // namespace lacuna::plan
