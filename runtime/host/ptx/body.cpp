#include "runtime/host/ptx/body.h"

#include <fmt/format.h>

#include <charconv>
#include <unordered_map>

namespace lacuna::runtime::host::ptx {
namespace {

constexpr int max_depth = 200;
constexpr std::size_t max_registers = 1 << 20;
constexpr std::size_t max_statements = 1 << 22;
constexpr std::size_t max_operands = 64;

struct Range {
  std::uint32_t first = 0, count = 0;
};

/// A use of a label that no enclosing scope has defined yet.
struct Pending {
  std::uint32_t label = 0;
  int line = 0;
};

/// One `{ }`: its registers, variables and labels hide those outside.
struct Scope {
  std::unordered_map<std::string_view, std::uint32_t> registers, variables, labels, targets;
  std::unordered_map<std::string_view, Range> ranges;
  std::vector<Pending> pending;  ///< names used here before they were defined
};

/// "%r12" is element 12 of the range "%r".
bool split_range(std::string_view name, std::string_view& prefix, std::uint32_t& number) {
  std::size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
  if (digits == name.size() || name.size() - digits > 9) return false;
  if (name[digits] == '0' && name.size() - digits > 1) return false;
  prefix = name.substr(0, digits);
  std::from_chars(name.data() + digits, name.data() + name.size(), number);
  return true;
}

/// Names that PTX itself defines: "%tid.x", "%laneid", "%clock64"; the decoder knows which of them it can serve.
bool is_special(std::string_view name) {
  if (name.find_first_of("0123456789") == name.npos || name.find('.') != name.npos) return true;
  for (std::string_view prefix : {"%clock", "%envreg", "%pm", "%reserved"})
    if (name.starts_with(prefix)) return true;
  return false;
}

class BodyParser {
 public:
  BodyParser(Reader& reader, Function& function) : reader_(reader), function_(function) {}

  void run() {
    open();
    for (std::uint32_t i = 0; i < function_.variables.size(); ++i)
      scopes_.back().variables.emplace(function_.variables[i].name, i);
    while (!scopes_.empty()) item();
  }

 private:
  using Kind = Operand::Kind;

  void open() {
    reader_.expect('{');
    if (scopes_.size() == max_depth) reader_.fail(fmt::format("scopes nest deeper than {}", max_depth));
    scopes_.emplace_back();
  }

  /// Uses of labels that this scope defines are settled; the others are the outer scope's.
  void close() {
    Scope scope = std::move(scopes_.back());
    scopes_.pop_back();
    for (const Pending& use : scope.pending) {
      const auto found = scope.labels.find(function_.labels[use.label].name);
      if (found != scope.labels.end())
        function_.labels[use.label].target = function_.labels[found->second].target;
      else if (!scopes_.empty())
        scopes_.back().pending.push_back(use);
      else
        reader_.fail(use.line, fmt::format("'{}' is not defined", function_.labels[use.label].name));
    }
    reader_.expect('}');
  }

  void item() {
    const Token& token = reader_.token();
    if (token.is('{')) return open();
    if (token.is('}')) return close();
    if (token.kind == Token::Kind::directive) return directive();
    if (token.is('@') || token.kind == Token::Kind::word) return label_or_statement();
    reader_.fail(fmt::format("expected an instruction but found '{}'",
                             token.kind == Token::Kind::end ? "the end of the text" : token.text));
  }

  void directive() {
    if (reader_.accept(".reg")) return registers();
    if (reader_.accept(".shared")) return variable(Space::shared);
    if (reader_.accept(".local")) return variable(Space::local);
    if (reader_.accept(".param")) return variable(Space::param);
    if (reader_.accept(".global")) return variable(Space::global);
    if (reader_.accept(".const")) return variable(Space::constant);
    if (reader_.accept(".loc")) return location();
    if (reader_.accept(".file")) return reader_.file();
    if (reader_.accept(".pragma")) return pragma();
    reader_.unknown(fmt::format("the directive '{}'", reader_.token().text));
  }

  void pragma() {
    const Token text = reader_.expect(Token::Kind::string, "a pragma");
    // Hints, both: how to unroll, and which bytes of the next load anyone looks at.
    const bool known = text.text == "nounroll" || text.text.starts_with("used_bytes_mask ");
    if (!known) reader_.unknown(fmt::format("the pragma \"{}\"", text.text));
    reader_.expect(';');
  }

  void location() {
    Location at;
    at.file = static_cast<std::uint32_t>(reader_.integer("a file number", 1 << 16));
    at.line = static_cast<std::uint32_t>(reader_.integer("a line number", 1u << 31));
    reader_.integer("a column", 1u << 31);
    while (reader_.accept(',')) {
      const Token word = reader_.expect(Token::Kind::word, "a .loc attribute");
      if (word.text == "function_name") {
        reader_.expect(Token::Kind::word, "a label");
        if (reader_.accept('+')) reader_.integer("an offset", 1u << 31);
      } else if (word.text == "inlined_at") {
        at.inlined_file = static_cast<std::uint32_t>(reader_.integer("a file number", 1 << 16));
        at.inlined_line = static_cast<std::uint32_t>(reader_.integer("a line number", 1u << 31));
        reader_.integer("a column", 1u << 31);
      } else {
        reader_.unknown(fmt::format("the .loc attribute '{}'", word.text));
      }
    }
    if (at.line != 0) reader_.location = at;  // line 0 means "no line": the last one is better than none
  }

  Width register_width() {
    const Token type = reader_.expect(Token::Kind::directive, "a register type");
    if (type.text == ".pred") return Width::pred;
    switch (bytes_of_type(type.text)) {
      case 2: return Width::b16;
      case 4: return Width::b32;
      case 8: return Width::b64;
      default: reader_.unknown(fmt::format("the register type '{}'", type.text));
    }
  }

  void registers() {
    const Width width = register_width();
    do {
      const Token name = reader_.expect(Token::Kind::word, "a register name");
      std::uint64_t count = 1;
      const auto first = static_cast<std::uint32_t>(function_.registers.size());
      if (reader_.accept('<')) {
        count = reader_.integer("a number of registers", max_registers);
        reader_.expect('>');
        const Range range{first, static_cast<std::uint32_t>(count)};
        if (!scopes_.back().ranges.emplace(name.text, range).second)
          reader_.fail(name.line, fmt::format("the registers '{}' are declared twice", name.text));
      } else if (!scopes_.back().registers.emplace(name.text, first).second) {
        reader_.fail(name.line, fmt::format("the register '{}' is declared twice", name.text));
      }
      if (function_.registers.size() + count > max_registers)
        reader_.fail(fmt::format("more than {} registers", max_registers));
      function_.registers.resize(function_.registers.size() + count, width);
    } while (reader_.accept(','));
    reader_.expect(';');
  }

  void variable(Space space) {
    Variable variable = reader_.variable(space, false);
    reader_.expect(';');
    if (space == Space::global || space == Space::constant)
      reader_.unknown(fmt::format("the variable '{}' of static storage in a function", variable.name));
    const auto index = static_cast<std::uint32_t>(function_.variables.size());
    if (!scopes_.back().variables.emplace(variable.name, index).second)
      reader_.fail(fmt::format("'{}' is defined twice", variable.name));
    function_.variables.push_back(std::move(variable));
  }

  void label_or_statement() {
    const Token first = reader_.token();
    Statement statement{.line = first.line, .location = reader_.location};
    if (reader_.accept('@')) {
      statement.guard.negated = reader_.accept('!');
      statement.guard.reg = static_cast<std::int32_t>(predicate());
    }
    const Token word = reader_.expect(Token::Kind::word, "an opcode");
    if (statement.guard.reg < 0 && reader_.accept(':')) return label(word);
    statement.opcode = word.text;
    if (!reader_.token().is(';')) {
      do {
        statement.operands.push_back(operand());
        if (statement.operands.size() > max_operands)
          reader_.fail(fmt::format("more than {} operands", max_operands));
      } while (reader_.accept(','));
    }
    statement.text = reader_.text_between(first, reader_.token());
    reader_.expect(';');
    if (function_.body.size() == max_statements)
      reader_.fail(fmt::format("more than {} instructions", max_statements));
    function_.body.push_back(std::move(statement));
  }

  void label(const Token& name) {
    if (reader_.accept(".branchtargets")) return branch_targets(name);
    const auto index = static_cast<std::uint32_t>(function_.labels.size());
    if (!scopes_.back().labels.emplace(name.text, index).second)
      reader_.fail(name.line, fmt::format("the label '{}' is defined twice", name.text));
    function_.labels.push_back({name.text, static_cast<std::uint32_t>(function_.body.size())});
  }

  void branch_targets(const Token& name) {
    std::vector<std::uint32_t> labels;
    do {
      labels.push_back(use_label(reader_.expect(Token::Kind::word, "a label")));
    } while (reader_.accept(','));
    reader_.expect(';');
    const auto index = static_cast<std::uint32_t>(function_.targets.size());
    if (!scopes_.back().targets.emplace(name.text, index).second)
      reader_.fail(name.line, fmt::format("'{}' is defined twice", name.text));
    function_.targets.push_back(std::move(labels));
  }

  /// Labels are looked up when their scope closes, so each use gets an entry of its own.
  std::uint32_t use_label(const Token& name) {
    const auto index = static_cast<std::uint32_t>(function_.labels.size());
    function_.labels.push_back({name.text, 0});
    scopes_.back().pending.push_back({index, name.line});
    return index;
  }

  std::uint32_t predicate() {
    const Token name = reader_.expect(Token::Kind::word, "a predicate");
    const Operand found = named(name);
    if (found.kind != Kind::reg || function_.registers[found.index] != Width::pred)
      reader_.fail(name.line, fmt::format("'{}' is not a predicate", name.text));
    return found.index;
  }

  Operand operand() {
    Operand first = simple_operand();
    if (!reader_.accept('|')) return first;
    Operand pair{.kind = Kind::pair};
    pair.parts.push_back(std::move(first));
    pair.parts.push_back(simple_operand());
    return pair;
  }

  Operand simple_operand() {
    const Token token = reader_.token();
    if (token.is('[')) return address();
    if (token.is('{')) return sequence(Kind::vector, '{', '}');
    if (token.is('(')) return sequence(Kind::list, '(', ')');
    if (token.is('!')) {
      reader_.advance();
      return Operand{.kind = Kind::reg, .negated = true, .index = predicate(), .text = token.text};
    }
    return scalar();
  }

  Operand sequence(Kind kind, char opening, char closing) {
    Operand result{.kind = kind};
    reader_.expect(opening);
    if (reader_.accept(closing)) return result;
    do {
      result.parts.push_back(scalar());
      if (result.parts.size() > max_operands)
        reader_.fail(fmt::format("more than {} operands", max_operands));
    } while (reader_.accept(','));
    reader_.expect(closing);
    return result;
  }

  Operand scalar() {
    const Token token = reader_.token();
    if (token.is('-') || token.kind == Token::Kind::number) return literal();
    Operand result = named(reader_.expect(Token::Kind::word, "an operand"));
    const bool variable = result.kind == Kind::variable || result.kind == Kind::module_variable;
    if (variable && (reader_.token().is('+') || reader_.token().is('-')))
      result.value = displacement();
    return result;
  }

  Operand literal() {
    const bool negative = reader_.accept('-');
    const Token token = reader_.expect(Token::Kind::number, "a number");
    const Literal literal = parse_literal(token.text);
    Operand result{.kind = Kind::integer, .value = literal.value, .text = token.text};
    switch (literal.kind) {
      case Literal::Kind::none: reader_.fail(token.line, fmt::format("'{}' is not a number", token.text));
      case Literal::Kind::integer:
        if (negative) result.value = 0 - result.value;
        return result;
      case Literal::Kind::single_bits: result.single = true; break;
      case Literal::Kind::real_bits: break;
    }
    result.kind = Kind::real;
    if (negative) result.value ^= std::uint64_t{1} << (result.single ? 31 : 63);
    return result;
  }

  std::uint64_t displacement() {
    const bool plus = reader_.accept('+');
    const bool negative = reader_.accept('-') || !plus;
    const std::uint64_t value = reader_.integer("an offset", std::uint64_t{1} << 40);
    return negative ? 0 - value : value;
  }

  Operand address() {
    Operand result{.kind = Kind::address};
    reader_.expect('[');
    const bool numeric = reader_.token().kind == Token::Kind::number;
    result.parts.push_back(numeric ? literal()
                                   : named(reader_.expect(Token::Kind::word, "an address")));
    if (reader_.token().is('+') || reader_.token().is('-')) result.value = displacement();
    if (!reader_.token().is(']'))
      reader_.unknown(fmt::format("the address operand '{}'", reader_.token().text));
    reader_.advance();
    return result;
  }

  Operand named(const Token& name) {
    if (name.text == "_") return {.kind = Kind::sink, .text = name.text};
    std::string_view prefix;
    std::uint32_t number = 0;
    const bool ranged = split_range(name.text, prefix, number);
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (const auto r = scope->registers.find(name.text); r != scope->registers.end())
        return {.kind = Kind::reg, .index = r->second, .text = name.text};
      if (const auto r = ranged ? scope->ranges.find(prefix) : scope->ranges.end();
          r != scope->ranges.end() && number < r->second.count)
        return {.kind = Kind::reg, .index = r->second.first + number, .text = name.text};
      if (const auto v = scope->variables.find(name.text); v != scope->variables.end())
        return {.kind = Kind::variable, .index = v->second, .text = name.text};
      if (const auto t = scope->targets.find(name.text); t != scope->targets.end())
        return {.kind = Kind::targets, .index = t->second, .text = name.text};
    }
    return outer_name(name);
  }

  Operand outer_name(const Token& name) {
    if (name.text[0] == '%') {
      if (is_special(name.text)) return {.kind = Kind::special, .text = name.text};
      reader_.fail(name.line, fmt::format("the register '{}' is not declared", name.text));
    }
    const Module& module = reader_.module();
    for (std::uint32_t i = 0; i < module.variables.size(); ++i)
      if (module.variables[i].name == name.text)
        return {.kind = Kind::module_variable, .index = i, .text = name.text};
    for (std::uint32_t i = 0; i < module.functions.size(); ++i)
      if (module.functions[i].name == name.text)
        return {.kind = Kind::function, .index = i, .text = name.text};
    return {.kind = Kind::label, .index = use_label(name), .text = name.text};
  }

  Reader& reader_;
  Function& function_;
  std::vector<Scope> scopes_;
};

}  // namespace

void parse_body(Reader& reader, Function& function) {
  reader.location = {};
  BodyParser(reader, function).run();
}

}  // namespace lacuna::runtime::host::ptx
