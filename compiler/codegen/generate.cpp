#include "compiler/codegen/generate.h"

#include "lacuna/version.hpp"

#include "compiler/codegen/expression.h"
#include "compiler/codegen/intervals.h"
#include "compiler/codegen/weight.h"
#include "templates/abi.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::codegen {
namespace {

constexpr std::string_view positions = "const Params& p, const Place& at, s32 q, s32 k";

std::string escaped(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out;
}

/// The text being written, line by line: #line needs to know where it stands.
class Text {
 public:
  explicit Text(std::string name) : name_(std::move(name)) {}
  template <class... T>
  void line(fmt::format_string<T...> format, T&&... arguments) {
    append(fmt::format(format, std::forward<T>(arguments)...));
  }
  void append(const std::string& text) {
    text_ += text;
    text_ += '\n';
    ++lines_;
  }
  /// What follows up to leave() came from `where`; each line is said to, so that reports lead back
  /// to it.
  void enter(const Span& where) { where_ = where; }
  void leave() {
    if (where_.line) line("#line {} \"{}\"", lines_ + 2, name_);
    where_ = {};
  }
  void from(const std::string& text) {
    if (where_.line) line("#line {} \"{}\"", where_.line, escaped(where_.file));
    append(text);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_, text_;
  Span where_;
  int lines_ = 0;
};

/// Instructions that the mask and the score of a lane's pairs may be in unrolled code, before the
/// mask goes into a loop and the score into a function: compilers stop unrolling far above.
constexpr int most_unrolled_mask = 1024, most_unrolled_score = 4096;

/// Writes one function of the Pattern; a short body stands on the function's own line.
void function(Text& text, const Span& where, const std::string& head,
              const std::vector<std::string>& body, std::string_view kind = "LACUNA_MEMBER") {
  text.enter(where);
  if (body.size() == 1) {
    text.from(fmt::format("  {} static {} {{ {} }}", kind, head, body[0]));
  } else {
    text.from(fmt::format("  {} static {} {{", kind, head));
    for (const std::string& line : body) text.from("    " + line);
    text.from("  }");
  }
  text.leave();
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : " && ") + part;
  return out.empty() ? "true" : out;
}

class PatternWriter {
 public:
  PatternWriter(Text& text, const plan::Plan& plan, const plan::Pass& pass)
      : text_(text),
        plan_(plan),
        pattern_(plan.spec.pattern.tree()),
        pairs_(pass.schedule.tile_q * pass.schedule.tile_k / pass.threads()) {}

  /// What flash forward asks of a pattern.
  void write() {
    text_.line("struct Pattern {{");
    const bool bands =
        std::all_of(plan_.conjuncts.begin(), plan_.conjuncts.end(),
                    [](const plan::Conjunct& c) { return c.taken == plan::Strategy::band; });
    text_.line("  static constexpr bool only_bands = {};", bands);
    rolled_mask();
    attends();
    keeps_key();
    narrow();
    score();
    sink();
    text_.line("}};");
  }
  /// What classifying tiles asks of it.
  void write_tiles() {
    text_.line("struct Pattern {{");
    attends();
    narrow();
    for (const std::string& line : interval_members(plan_)) text_.append(line);
    text_.line("}};");
  }
  /// What combine asks of it.
  void write_end() {
    text_.line("struct Pattern {{");
    plain_score();
    sink();
    text_.line("}};");
  }

 private:
  std::vector<std::string> body(ir::NodeId node, Surroundings surroundings) {
    return ExpressionWriter(plan_.spec, surroundings).body(node);
  }

  void rolled_mask() {
    int weight = 0;
    for (const plan::Conjunct& c : plan_.conjuncts)
      weight += instructions_of(pattern_.graph, c.expr);
    text_.line("  static constexpr bool rolled_mask = {};", weight * pairs_ > most_unrolled_mask);
  }

  void attends() {
    std::vector<std::string> calls;
    for (const plan::Conjunct& c : plan_.conjuncts) {
      const std::string name = fmt::format("conjunct_{}", calls.size());
      text_.line("  // {}", c.text);
      function(text_, c.where, fmt::format("bool {}({})", name, positions),
               body(c.expr, {.checked = plan_.facts.checked}));
      calls.push_back(name + "(p, at, q, k)");
    }
    text_.line("  LACUNA_MEMBER static bool attends({}) {{ return {}; }}", positions,
               joined(calls));
  }

  // Key-only conjuncts decide which rows of K and V are read at all; their own reads are guarded by
  // clamping alone.
  void keeps_key() {
    std::vector<std::string> calls;
    for (const plan::Conjunct& c : plan_.conjuncts) {
      if (!c.key_only) continue;
      const std::string name = fmt::format("key_{}", calls.size());
      function(text_, c.where,
               fmt::format("bool {}(const Params& p, const Place& at, s32 k)", name),
               body(c.expr, {.q = "0"}));
      calls.push_back(name + "(p, at, k)");
    }
    text_.line(
        "  LACUNA_MEMBER static bool keeps_key(const Params& p, const Place& at, s32 k) {{ return "
        "{}; }}",
        joined(calls));
  }

  std::string affine(const plan::Affine& a) {
    std::string constant = fmt::format("{}", a.constant);
    for (const auto& [atom, factor] : a.atoms)
      constant += fmt::format(" + {} * (s64)atom_{}(p, at)", factor, atom);
    return fmt::format("Affine{{{}, {}, {}}}", a.q, a.k, constant);
  }

  void atoms() {
    std::vector<ir::NodeId> written;
    for (const plan::Conjunct& c : plan_.conjuncts)
      for (const plan::Band& band : c.bands)
        for (const plan::Affine* side : {&band.left, &band.right})
          for (const auto& [atom, factor] : side->atoms) {
            if (std::find(written.begin(), written.end(), atom) != written.end()) continue;
            written.push_back(atom);
            function(text_, c.where,
                     fmt::format("s32 atom_{}(const Params& p, const Place& at)", atom),
                     body(atom, {.q = "0", .k = "0"}));
          }
  }

  void narrow() {
    atoms();
    text_.line(
        "  LACUNA_MEMBER static void narrow(const Params& p, const Place& at, Tile& tile) {{");
    for (const plan::Conjunct& c : plan_.conjuncts)
      for (const plan::Band& band : c.bands)
        text_.line("    lacuna::narrow(tile, {}, {}, {});", affine(band.left), affine(band.right),
                   band.strict);
    text_.line("  }}");
  }

  void plain_score() {
    text_.line("  static constexpr bool plain_score = {};", pattern_.score == ir::no_node);
  }
  void score() {
    const std::string head = fmt::format("float score({}, float score)", positions);
    plain_score();
    if (pattern_.score == ir::no_node) {
      text_.line("  LACUNA_MEMBER static {} {{ return score; }}", head);
    } else {
      const bool heavy =
          instructions_of(pattern_.graph, pattern_.score) * pairs_ > most_unrolled_score;
      function(text_, pattern_.score_where.front(), head,
               body(pattern_.score, {.checked = plan_.facts.checked}),
               heavy ? "LACUNA_OUTLINED" : "LACUNA_MEMBER");
    }
  }

  void sink() {
    const std::string head = "float sink(const Params& p, const Place& at, s32 q)";
    if (pattern_.weights.sink == ir::no_node) {
      text_.line("  LACUNA_MEMBER static {} {{ return -infinity(); }}", head);
    } else {
      function(text_, pattern_.weights.where, head,
               body(pattern_.weights.sink, {.k = "0", .checked = plan_.facts.checked}));
    }
  }

  Text& text_;
  const plan::Plan& plan_;
  const ir::Pattern& pattern_;
  int pairs_;  ///< of a lane in a tile
};

/// What a pass takes besides the call and the pattern's values.
struct Tail {
  std::string_view type, name;
  int bytes = 0;
};
Tail tail_of(const plan::Pass& pass) {
  if (pass.kind == plan::PassKind::tile_lists)
    return {"TileBuildArg", "tiles", static_cast<int>(sizeof(TileBuildArg))};
  if (pass.listed) return {"TileReadArg", "lists", static_cast<int>(sizeof(TileReadArg))};
  return {};
}

void write_params(Text& text, const ir::Pattern& pattern, const Tail& tail) {
  text.line("struct Params {{");
  text.line("  CallArg call;");
  if (!pattern.params.empty()) text.line("  u32 param[{}];", (pattern.params.size() + 1) / 2 * 2);
  if (!pattern.tensors.empty()) text.line("  TensorArg tensor[{}];", pattern.tensors.size());
  if (tail.bytes) text.line("  {} {};", tail.type, tail.name);
  text.line("}};");
  for (std::size_t i = 0; i < pattern.params.size(); ++i)
    text.line("// param[{}]: {}", i, pattern.params[i].name);
  for (std::size_t i = 0; i < pattern.tensors.size(); ++i)
    text.line("// tensor[{}]: {}", i, pattern.tensors[i].name);
}

std::string_view lengths_name(Lengths lengths) {
  constexpr std::string_view names[] = {"uniform", "padded", "packed"};
  return names[static_cast<int>(lengths)];
}

void write_results(Text& text, const Spec& spec) {
  text.line("  using Out = {};", device_type(spec.output.value_or(spec.dtype)));
  text.line("  static constexpr bool statistic = {};", spec.statistic);
}

void write_config(Text& text, const plan::Plan& plan, const plan::Pass& pass,
                  plan::Variant variant) {
  const Spec& spec = plan.spec;
  const plan::Schedule& s = pass.schedule;
  text.line("struct Config {{");
  text.line("  using Pattern = lacuna::Pattern;");
  if (pass.kind == plan::PassKind::combine) {
    text.line("  static constexpr int value_dim = {}, tile_q = {};", spec.value_dim, s.tile_q);
  } else if (pass.kind == plan::PassKind::tile_lists) {
    text.line("  static constexpr int tile_q = {}, tile_k = {};", s.tile_q, s.tile_k);
    text.line("  static constexpr bool packed_heads = false;");
  } else {
    text.line("  using Machine = {}<Config>;",
              pass.machine == plan::Machine::sm80 ? "Sm80" : "Fma");
    text.line("  using In = {};", device_type(spec.dtype));
    text.line("  static constexpr int head_dim = {}, value_dim = {};", spec.head_dim,
              spec.value_dim);
    text.line("  static constexpr int tile_q = {}, tile_k = {}, warps = {}, stages = {};", s.tile_q,
              s.tile_k, s.warps, s.stages);
    text.line("  static constexpr bool aligned = {}, split = {}, packed_heads = {}, lists = {};",
              variant.aligned, pass.split, pass.packed_heads, pass.listed);
  }
  if (pass.kind != plan::PassKind::tile_lists) write_results(text, spec);
  text.line("  static constexpr Lengths lengths = Lengths::{};", lengths_name(spec.lengths));
  text.line("}};");
}

/// Of the kernel: plan, route and variant.
std::string entry_of(const plan::Plan& plan, const plan::Pass& pass, plan::Variant variant) {
  const std::string of_plan = fmt::format("lacuna_{}_", plan.digest.substr(0, 16));
  if (!pass.varies()) return of_plan + std::string(plan::name_of(pass.kind));
  if (pass.kind == plan::PassKind::tile_lists)
    return fmt::format("{}{}", of_plan, plan::name_of(pass.kind));
  return fmt::format("{}{}{}{}", of_plan, pass.split ? "split_" : "", pass.listed ? "listed_" : "",
                     variant.aligned ? "aligned" : "unaligned");
}

std::vector<std::string> includes_of(const plan::Pass& pass) {
  switch (pass.kind) {
    case plan::PassKind::flash_forward:
      return {"flash_forward.cuh", fmt::format("machine/{}.cuh", plan::name_of(pass.machine)),
              "ops.cuh"};
    case plan::PassKind::combine:
      return {"combine.cuh", "ops.cuh"};
    case plan::PassKind::tile_lists:
      return {"tiles/lists.cuh", "box_read.cuh", "ops.cuh"};
  }
  return {};
}

}  // namespace

ParamLayout param_layout(const ir::Pattern& pattern) {
  ParamLayout layout;
  layout.params_at = sizeof(CallArg);
  layout.tensors_at = layout.params_at + static_cast<int>((pattern.params.size() + 1) / 2 * 8);
  layout.bytes = layout.tensors_at + static_cast<int>(pattern.tensors.size() * sizeof(TensorArg));
  return layout;
}

Source generate(const plan::Plan& plan, const plan::Pass& pass, plan::Variant variant) {
  const Spec& spec = plan.spec;
  const ir::Pattern& pattern = spec.pattern.tree();
  Source source;
  source.name = pattern.name + ".cu";
  source.entry = entry_of(plan, pass, variant);
  source.threads = pass.threads();
  source.shared_bytes = pass.shared_bytes;
  const Tail tail = tail_of(pass);
  source.param_bytes = param_layout(pattern).bytes + tail.bytes;

  Text text(source.name);
  const bool flash = pass.kind == plan::PassKind::flash_forward;
  text.line("// lacuna {}: attention {}, {} on machine/{}", LACUNA_VERSION, pattern.name,
            plan::name_of(pass.kind), plan::name_of(pass.machine));
  for (const std::string& file : includes_of(pass)) text.line("#include \"{}\"", file);
  text.line("namespace lacuna {{");
  write_params(text, pattern, tail);
  PatternWriter writer(text, plan, pass);
  if (flash)
    writer.write();
  else if (pass.kind == plan::PassKind::combine)
    writer.write_end();
  else
    writer.write_tiles();
  write_config(text, plan, pass, variant);
  text.line(
      "static_assert(sizeof(Params) == {}, \"host and device disagree about the parameters\");",
      source.param_bytes);
  if (flash)
    text.line(
        "static_assert(sizeof(FlashForward<Config, Params>::Shared) == {}, \"host and device "
        "disagree about shared "
        "memory\");",
        source.shared_bytes);
  text.line("}}  // namespace lacuna");
  text.line("LACUNA_KERNEL void LACUNA_BOUNDS({}, 1) {}(LACUNA_GRID_CONST lacuna::Params p) {{",
            source.threads, source.entry);
  text.line("  lacuna::{}<lacuna::Config>(p);", plan::name_of(pass.kind));
  text.line("}}");
  source.text = text.take();
  return source;
}

}  // namespace lacuna::codegen
