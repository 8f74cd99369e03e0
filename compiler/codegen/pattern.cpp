#include "compiler/codegen/pattern.h"

#include "compiler/codegen/hoist.h"
#include "compiler/codegen/intervals.h"
#include "compiler/codegen/weight.h"
#include "compiler/ir/print.h"
#include "compiler/plan/inverse.h"

#include <algorithm>
#include <map>

namespace lacuna::codegen {
namespace {

constexpr std::string_view positions = "const Params& p, const Place& at, s32 q, s32 k";
constexpr std::string_view place = "const Params& p, const Place& at";
constexpr std::string_view device_types[] = {"bool", "s32", "float"};  // by ir::Type

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
        pass_(pass),
        pairs_(pass.schedule.tile_q * pass.schedule.tile_k / pass.threads()) {}

  /// What flash forward asks of a pattern.
  void write() {
    text_.line("struct Pattern {{");
    const bool bands =
        std::all_of(plan_.conjuncts.begin(), plan_.conjuncts.end(),
                    [](const plan::Conjunct& c) { return c.taken == plan::Strategy::band; });
    text_.line("  static constexpr bool only_bands = {}, from_first_key = {};", bands,
               from_first_key());
    const Hoisted found = hoisted(plan_, pass_);
    hoist("row", "q", found.rows, {.k = "0", .checked = plan_.facts.checked});
    hoist("key", "k", found.keys, {.q = "0", .checked = plan_.facts.checked});
    rolled_mask(!found.keys.empty());
    pair_ += ", const RowValues& row, const KeyValues& key";
    attends(", row, key");
    keeps_key();
    narrow();
    score();
    unscore();
    if (ir::is_entmax(pattern_) || ir::is_softmax_by_alpha(pattern_)) alpha();
    if (!ir::is_entmax(pattern_)) sink();
    text_.line("}};");
  }
  /// What classifying tiles asks of it.
  void write_tiles() {
    text_.line("struct Pattern {{");
    attends("");
    narrow();
    for (const std::string& line : interval_members(plan_)) text_.append(line);
    text_.line("}};");
  }
  /// What making lists of known states asks of it.
  void write_nothing() {
    text_.line("struct Pattern {{ static constexpr int query_values = 0, key_values = 0; }};");
  }
  /// What gather asks of it.
  void write_weights() {
    text_.line("struct Pattern {{");
    plain_score();
    alpha();
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

  /// Whether no band keeps a row from the first keys.
  bool from_first_key() const {
    for (const plan::Conjunct& c : plan_.conjuncts)
      for (const plan::Band& band : c.bands)
        if (band.left.k < band.right.k) return false;
    return true;
  }

  /// Where keys bring values, unrolled code would hold those of all keys at once.
  void rolled_mask(bool keys_have_values) {
    int weight = 0;
    for (const plan::Conjunct& c : plan_.conjuncts)
      weight += instructions_of(pattern_.graph, c.expr, given_);
    text_.line("  static constexpr bool rolled_mask = {};",
               keys_have_values || weight * pairs_ > most_unrolled_mask);
  }

  /// struct RowValues, and row_values(), which fills one, for pairs of FULL tiles as far as the
  /// score needs it; or the same of a key.
  void hoist(std::string_view of, std::string_view position,
             const std::vector<HoistedValue>& values, Surroundings surroundings) {
    const std::string type = of == "row" ? "RowValues" : "KeyValues";
    std::string members, calls;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto& [node, scored] = values[i];
      const std::string_view kind = device_types[static_cast<int>(pattern_.graph[node].type)];
      text_.line("  // {}", ir::print(pattern_.graph, node, pattern_));
      function(text_, {}, fmt::format("{} {}_value_{}({}, s32 {})", kind, of, i, place, position),
               body(node, surroundings));
      members += fmt::format(" {} v{};", kind, i);
      const std::string unread = scored ? "" : fmt::format("full ? {}() : ", kind);
      calls += fmt::format("{}{}{}_value_{}(p, at, {})", i ? ", " : "", unread, of, i, position);
      given_[node] = fmt::format("{}.v{}", of, i);
    }
    text_.line("  struct {} {{{} }};", type, members);
    text_.line("  template <bool full>");
    text_.line("  LACUNA_MEMBER static {} {}_values({}, s32 {}) {{ return {{{}}}; }}", type, of,
               place, position, calls);
  }

  void attends(std::string_view values) {
    std::vector<std::string> calls;
    for (const plan::Conjunct& c : plan_.conjuncts) {
      const std::string name = fmt::format("conjunct_{}", calls.size());
      text_.line("  // {}", c.text);
      function(text_, c.where, fmt::format("bool {}({})", name, pair_),
               body(c.expr, {.checked = plan_.facts.checked, .given = &given_}));
      calls.push_back(fmt::format("{}(p, at, q, k{})", name, values));
    }
    text_.line("  LACUNA_MEMBER static bool attends({}) {{ return {}; }}", pair_, joined(calls));
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
    const bool plain = pattern_.score == ir::no_node;
    text_.line("  static constexpr bool plain_score = {}, scores_any_pair = {};", plain,
               !plain && !reads(pattern_.graph, pattern_.score, given_));
  }
  void score() {
    plain_score();
    if (pattern_.score == ir::no_node) {
      text_.line("  LACUNA_MEMBER static float score({}, float score) {{ return score; }}", pair_);
      return;
    }
    const bool heavy =
        instructions_of(pattern_.graph, pattern_.score, given_) * pairs_ > most_unrolled_score;
    std::string pair = pair_;
    // NVRTC 13.0 makes values of such references by itself, and crashes on some.
    if (heavy)
      pair.replace(pair.find("const Place&"), std::string_view("const Place&").size(), "Place");
    function(text_, pattern_.score_where.front(), fmt::format("float score({}, float score)", pair),
             body(pattern_.score, {.checked = plan_.facts.checked, .given = &given_}),
             heavy ? "LACUNA_OUTLINED" : "LACUNA_MEMBER");
  }

  /// Of the passes that gates go through scores in: a bound of scores as one of products.
  void unscore() {
    const bool threshold = pass_.kind == plan::PassKind::threshold;
    if (!threshold && pass_.kind != plan::PassKind::accumulate) return;
    const bool inverts = plan::inverts(plan_.spec);
    text_.line("  static constexpr bool inverts = {};", inverts);
    if (!threshold || !inverts) return;
    std::string chain = "Unscored{score, 1.0f}";
    int operands = 0;
    for (const auto& [op, with] : plan::inverse_of(plan_.spec).steps) {
      std::string operand;
      if (with != ir::no_node) {
        function(text_, pattern_.score_where.front(),
                 fmt::format("float score_operand_{}({}, s32 q)", operands, place),
                 body(with, {.k = "0"}));
        operand = fmt::format("score_operand_{}(p, at, q)", operands++);
      }
      chain += fmt::format(".{}({})", undoing(op), operand);
    }
    text_.line("  LACUNA_MEMBER static Unscored unscore({}, s32 q, float score) {{ return {}; }}",
               place, chain);
  }
  /// The member of Unscored (templates/inverse.cuh).
  static std::string_view undoing(ir::Op op) {
    switch (op) {
      case ir::Op::add_f32:
        return "plus";
      case ir::Op::sub_f32:
        return "minus";
      case ir::Op::mul_f32:
        return "times";
      case ir::Op::div_f32:
        return "over";
      case ir::Op::min_f32:
        return "least";
      case ir::Op::max_f32:
        return "greatest";
      default:
        return "tanh";
    }
  }

  void alpha() {
    function(text_, pattern_.weights.where, fmt::format("float alpha({})", place),
             body(pattern_.weights.alpha, {.q = "0", .k = "0", .checked = plan_.facts.checked}));
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
  const plan::Pass& pass_;
  int pairs_;                                     ///< of a lane in a tile
  std::string pair_{positions};                   ///< parameters of what is asked of a pair
  std::map<ir::NodeId, std::string> given_ = {};  ///< what its row and key have ready
};

}  // namespace

void write_pattern(Text& text, const plan::Plan& plan, const plan::Pass& pass) {
  PatternWriter writer(text, plan, pass);
  switch (pass.kind) {
    case plan::PassKind::flash_forward:
    case plan::PassKind::threshold:
    case plan::PassKind::accumulate:
    case plan::PassKind::materialise:
    case plan::PassKind::short_rows:
      return writer.write();
    case plan::PassKind::gather:
      return writer.write_weights();
    case plan::PassKind::live_tiles:
      return writer.write_nothing();
    case plan::PassKind::combine:
      return writer.write_end();
    case plan::PassKind::tile_lists:
      return writer.write_tiles();
  }
}

}  // namespace lacuna::codegen
