#include "compiler/ir/print.h"

#include "compiler/ir/overload.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

namespace lacuna::ir {
namespace {

/// Loosest first, as the grammar lists them.
enum Level {
  any,
  or_level,
  and_level,
  not_level,
  comparison,
  bit_or,
  bit_xor,
  bit_and,
  shift,
  sum,
  product,
  unary,
  primary
};

struct Infix {
  std::string_view spelling;
  Level level;
};
constexpr std::array<Infix, 16> infixes = {{{"or", or_level},
                                            {"and", and_level},
                                            {"==", comparison},
                                            {"!=", comparison},
                                            {"<", comparison},
                                            {"<=", comparison},
                                            {"|", bit_or},
                                            {"^", bit_xor},
                                            {"&", bit_and},
                                            {"<<", shift},
                                            {">>", shift},
                                            {"+", sum},
                                            {"-", sum},
                                            {"*", product},
                                            {"/", product},
                                            {"//", product}}};

Level level_of(std::string_view infix) {
  for (auto [spelling, level] : infixes) {
    if (spelling == infix) return level;
  }
  return product;  // %
}

bool is_word(std::string_view spelling) {
  return spelling[0] >= 'a' && spelling[0] <= 'z';
}

std::string print_real(float value) {
  if (std::isnan(value)) return "(inf - inf)";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  auto text = fmt::format("{}", value);
  return text.find_first_of(".e") == text.npos ? text + ".0" : text;
}

class Printer {
 public:
  Printer(const Graph& graph, const Pattern& pattern, const NodeNames& names, std::size_t limit)
      : graph_(graph), pattern_(pattern), names_(names), limit_(limit) {}

  std::string run(NodeId id) {
    write_out(id, any);
    return std::move(text_);
  }

 private:
  void put(NodeId id, Level least) {
    if (text_.size() > limit_) {
      text_ += "...";
    } else if (auto name = names_.find(id); name != names_.end()) {
      text_ += name->second;
    } else {
      write_out(id, least);
    }
  }

  /// In parentheses where the expression binds looser than `least`.
  void write_out(NodeId id, Level least) {
    switch (const Node& node = graph_[id]; node.op) {
      case Op::constant:
        text_ += print_constant(id);
        break;
      case Op::variable:
        text_ += name_of(static_cast<Variable>(node.payload));
        break;
      case Op::param:
        text_ += pattern_.params[node.payload].name;
        break;
      case Op::read:
        text_ += pattern_.tensors[node.payload].name;
        list('[', id, ']');
        break;
      default:
        write_operator(id, least);
    }
  }

  void write_operator(NodeId id, Level least) {
    const OpRow& r = row(graph_[id].op);
    bool connective = r.spelling == "and" || r.spelling == "or" || r.spelling == "not";
    if (is_word(r.spelling) && !connective) {
      text_ += r.spelling;
      return list('(', id, ')');
    }
    Level level = r.arity == 2 ? level_of(r.spelling) : connective ? not_level : unary;
    if (level < least) text_ += '(';
    if (r.arity == 2) {
      write_infix(id, r.spelling, level);
    } else {
      text_ += r.spelling;
      if (connective) text_ += ' ';
      put(operands_of(id)[0], level);
    }
    if (level < least) text_ += ')';
  }

  void write_infix(NodeId id, std::string_view spelling, Level level) {
    auto operands = operands_of(id);
    auto tighter = static_cast<Level>(level + 1);
    put(operands[0], level == comparison ? tighter : level);  // comparisons would chain
    text_ += fmt::format(" {} ", spelling);
    put(operands[1], tighter);
  }

  void list(char open, NodeId id, char close) {
    text_ += open;
    bool first = true;
    for (NodeId operand : operands_of(id)) {
      if (!first) text_ += ", ";
      first = false;
      put(operand, any);
    }
    text_ += close;
  }

  /// The operands, without the promotions that the language makes by itself. Left of two stays
  /// written out: one must, or i32 + i32 would be meant.
  std::vector<NodeId> operands_of(NodeId id) const {
    auto span = graph_.operands(id);
    std::vector<NodeId> operands(span.begin(), span.end());
    if (graph_[id].op == Op::read) return operands;
    std::vector<Type> types;
    for (NodeId operand : operands) types.push_back(graph_[operand].type);
    for (std::size_t i = operands.size(); i-- > 0;) {
      bool promotion = graph_[operands[i]].op == Op::f32_of_i32 && !names_.contains(operands[i]);
      if (!promotion) continue;
      types[i] = Type::i32;
      if (overload(row(graph_[id].op).spelling, types) == graph_[id].op) {
        operands[i] = graph_.operands(operands[i])[0];
      } else {
        types[i] = Type::f32;
      }
    }
    return operands;
  }

  std::string print_constant(NodeId id) const {
    switch (graph_[id].type) {
      case Type::boolean:
        return graph_.bool_value(id) ? "true" : "false";
      case Type::i32:
        return fmt::format("{}", graph_.int_value(id));
      case Type::f32:
        break;
    }
    return print_real(graph_.float_value(id));
  }

  const Graph& graph_;
  const Pattern& pattern_;
  const NodeNames& names_;
  std::size_t limit_;
  std::string text_;
};

}  // namespace

std::string print(const Graph& graph, NodeId id, const Pattern& pattern) {
  constexpr std::size_t readable = 4096;  // a shared graph may stand for exponentially long text
  return Printer(graph, pattern, {}, readable).run(id);
}

std::string print(const Graph& graph, NodeId id, const Pattern& pattern, const NodeNames& names) {
  return Printer(graph, pattern, names, std::numeric_limits<std::size_t>::max()).run(id);
}

std::string print(const Literal& value) {
  if (auto* boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
  if (auto* integer = std::get_if<std::int32_t>(&value)) return fmt::format("{}", *integer);
  return print_real(std::get<float>(value));
}

}  // namespace lacuna::ir
