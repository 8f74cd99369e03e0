#include "compiler/lang/resolve.h"

#include "compiler/ir/print.h"
#include "compiler/lang/compact.h"
#include "compiler/lang/lexer.h"
#include "compiler/lang/parser.h"
#include "compiler/lang/reads.h"
#include "compiler/lang/text.h"
#include "compiler/lang/typing.h"
#include "compiler/lang/weights.h"
#include "compiler/lang/words.h"

#include <fmt/format.h>

#include <limits>

namespace lacuna::lang {
namespace {

using ir::Type;
constexpr ir::Dependence every_variable = (1u << std::size(ir::variable_names)) - 1;
constexpr Role in_mask = {ir::on(ir::Variable::score), "may be used in score statements only"};
constexpr Role in_const = {every_variable | ir::on_param | ir::on_tensor, "is not constant"};

class Resolver {
 public:
  explicit Resolver(const Syntax& syntax)
      : syntax_(syntax),
        attention_(syntax.file->attentions[syntax.attention]),
        library_file_(parse_file("patterns.lac", library_text(), TextKind::library)),
        library_(*library_file_, {}, library_file_->defs.size()),
        file_(*syntax.file, library_.view(), attention_.defs_before),
        scope_(*syntax.file, file_.view(), attention_),
        typing_(pattern_) {
    pattern_.name = attention_.name;
    pattern_.source = syntax.file->text;
    pattern_.origin = syntax.file->origin;
    pattern_.syntax = std::make_shared<const Syntax>(syntax);
  }

  ir::Pattern run() {
    if (!is_name(attention_.name) || is_keyword(attention_.name)) {
      fail(attention_.place, fmt::format("'{}' is not a name for an attention", attention_.name));
    }
    for (const Declaration& def : file_.declarations()) {
      placed(def.place, [&] { typing_.resolve_def(def); });
    }
    for (const Statement& statement : attention_.statements) {
      std::visit([this](const auto& s) { placed(s.place, [&] { add(s); }); }, statement);
    }
    check_reads();
    check_rest_of_file();
    pattern_ = compacted(pattern_);
    pattern_.digest = digest(pattern_);
    check_length();
    return std::move(pattern_);
  }

 private:
  /// The graph knows no places: its error, too many nodes, gets the statement's.
  template <class Work>
  void placed(Place place, Work work) const {
    try {
      work();
    } catch (const Error& error) {
      bool nowhere = error.kind() == ErrorKind::pattern && error.span() == Span{};
      if (!nowhere) throw;
      fail(place, error.what());
    }
  }

  void add(const DefStatement& def) { typing_.resolve_def(scope_.declare(def)); }

  void add(const ParamStatement& param) {
    count("params", pattern_.params.size(), max_params, param.place);
    auto& declaration = scope_.declare(NameKind::param, param.name, param.place);
    declaration.index = static_cast<std::uint32_t>(pattern_.params.size());
    pattern_.params.push_back({param.name, param.type, {}});
    if (param.initial) pattern_.params.back().initial = initial(param);
  }

  Literal initial(const ParamStatement& param) {
    const Expr& literal = *param.initial;
    auto id = typing_.resolve(literal, scope_.view(), in_const);
    if (param.type == Type::f32) id = typing_.promoted(id);
    if (typing_.type(id) != param.type) {
      fail(literal.place, fmt::format("'{}' is {}; its default is {}", param.name,
                                      name_of(param.type), name_of(typing_.type(id))));
    }
    return literal_of(id);
  }

  void add(const ConstStatement& constant) {
    auto id = typing_.resolve(*constant.value, scope_.view(), in_const);
    auto& declaration = scope_.declare(NameKind::constant, constant.name, constant.place);
    declaration.index = static_cast<std::uint32_t>(pattern_.consts.size());
    pattern_.consts.push_back({constant.name, literal_of(id)});
    Literal& value = pattern_.consts.back().value;
    for (const ir::Const& other : syntax_.overrides) {
      if (other.name != constant.name) continue;
      if (other.value.index() != value.index()) {
        auto found = static_cast<Type>(other.value.index());
        throw Error(ErrorKind::argument,
                    fmt::format("const '{}' of '{}' is {}; found {}", constant.name, pattern_.name,
                                name_of(typing_.type(id)), name_of(found)));
      }
      value = other.value;
    }
  }

  Literal literal_of(ir::NodeId id) const {
    const ir::Graph& graph = pattern_.graph;
    switch (graph[id].type) {
      case Type::boolean:
        return graph.bool_value(id);
      case Type::i32:
        return graph.int_value(id);
      case Type::f32:
        break;
    }
    return graph.float_value(id);
  }

  void add(const TensorStatement& tensor) {
    count("tensors", pattern_.tensors.size(), max_tensors, tensor.place);
    if (tensor.axes.size() > max_axes) {
      fail(tensor.place, fmt::format("'{}' has {} axes; at most {} are allowed", tensor.name,
                                     tensor.axes.size(), max_axes));
    }
    check_extents(tensor);
    auto& declaration = scope_.declare(NameKind::tensor, tensor.name, tensor.place);
    declaration.index = static_cast<std::uint32_t>(pattern_.tensors.size());
    pattern_.tensors.push_back({tensor.name, tensor.type, tensor.axes});
  }

  void check_extents(const TensorStatement& tensor) const {
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    for (std::size_t i = 0; i < tensor.axes.size(); ++i) {
      const ir::Axis& axis = tensor.axes[i];
      bool fits = axis.kind != ir::AxisKind::fixed || (axis.extent >= 1 && axis.extent <= most);
      if (fits) continue;
      fail(tensor.places.empty() ? tensor.place : tensor.places[i],
           fmt::format("an axis has 1 to {} entries; found {}", most, axis.extent));
    }
  }

  void add(const MaskStatement& mask) {
    auto id = typing_.resolve(*mask.expr, scope_.view(), in_mask);
    if (typing_.type(id) != Type::boolean) {
      fail(mask.place, fmt::format("a mask is bool; found {}", name_of(typing_.type(id))));
    }
    bool fraction = !mask.hint || (*mask.hint >= 0 && *mask.hint <= 1);
    if (!fraction) {
      fail(mask.hint_place, fmt::format("a hint is a fraction from 0 to 1; found {}", *mask.hint));
    }
    auto text = mask.text.empty() ? ir::print(pattern_.graph, id, pattern_) : mask.text;
    pattern_.masks.push_back({id, span(mask.place), text, mask.hint, mask.wish});
  }

  void add(const ScoreStatement& score) {
    bool first = pattern_.score == ir::no_node;
    auto last = first ? pattern_.graph.variable(ir::Variable::score) : pattern_.score;
    auto id = typing_.resolve_real(*score.expr, scope_.view(), Role{0, "", last});
    if (typing_.type(id) != Type::f32) {
      fail(score.place, fmt::format("a score is f32; found {}", name_of(typing_.type(id))));
    }
    pattern_.score = id;
    pattern_.score_where.push_back(span(score.place));
  }

  void add(const WeightsStatement& weights) {
    if (weights_) fail(weights.place, "weights are already given");
    weights_ = true;
    pattern_.weights = resolve_weights(weights, pattern_, typing_, scope_);
    pattern_.weights.where = span(weights.place);
  }

  void check_reads() const {
    ir::NodeId roots[] = {pattern_.score, pattern_.weights.sink};
    for (const ir::Mask& mask : pattern_.masks) check(mask.expr);
    for (ir::NodeId root : roots) check(root);
  }

  void check(ir::NodeId root) const {
    auto wrong = read_outside(pattern_, root);
    if (!wrong) return;
    const Span& where = typing_.read_places().at(wrong->read);
    bool own = where.file == pattern_.origin;  // else the text of a def of the library
    fail(own ? Place{where.line, where.column} : attention_.place, wrong->message);
  }

  /// Below the attention, so that its own mistakes come first.
  void check_rest_of_file() {
    for (std::size_t i = attention_.defs_before; i < syntax_.file->defs.size(); ++i) {
      const DefStatement& def = syntax_.file->defs[i];
      placed(def.place, [&] { typing_.resolve_def(file_.declare(def)); });
    }
  }

  /// text() promises to parse again.
  void check_length() const {
    auto length = text(pattern_).size();
    if (length <= max_text) return;
    fail(attention_.place,
         fmt::format("'{}' has {} bytes with its defs expanded; at most {} are allowed",
                     pattern_.name, length, max_text));
  }

  void count(std::string_view what, std::size_t found, std::size_t most, Place place) const {
    if (found >= most) fail(place, fmt::format("more than {} {}", most, what));
  }
  Span span(Place place) const { return {pattern_.origin, place.line, place.column}; }
  [[noreturn]] void fail(Place place, std::string_view message) const {
    scope_.fail(place, message);
  }

  const Syntax& syntax_;
  const Attention& attention_;
  std::shared_ptr<const File> library_file_;
  Scope library_, file_, scope_;
  ir::Pattern pattern_;
  Typing typing_;
  bool weights_ = false;
};

}  // namespace

std::shared_ptr<const ir::Pattern> resolve(const Syntax& syntax) {
  return std::make_shared<const ir::Pattern>(Resolver(syntax).run());
}

}  // namespace lacuna::lang
