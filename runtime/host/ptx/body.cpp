#include "runtime/host/ptx/body.h"

#include "runtime/host/ptx/names.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::ptx {
namespace {

constexpr std::size_t max_statements = 1 << 22;
constexpr std::size_t max_operands = 64;
constexpr std::uint64_t max_range = 1 << 20;

class BodyParser {
 public:
  BodyParser(Reader& reader, Function& function)
      : reader_(reader), function_(function), names_(reader, function) {}

  void run() {
    open();
    names_.add_parameters();
    while (names_.inside()) item();
  }

 private:
  using Kind = Operand::Kind;

  void open() {
    reader_.expect('{');
    names_.open();
  }

  void close() {
    names_.close();
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
    if (at.line != 0)
      reader_.location = at;  // line 0 means "no line": the last one is better than none
  }

  Width register_width() {
    const Token type = reader_.expect(Token::Kind::directive, "a register type");
    if (type.text == ".pred") return Width::pred;
    switch (bytes_of_type(type.text)) {
      case 2:
        return Width::b16;
      case 4:
        return Width::b32;
      case 8:
        return Width::b64;
      default:
        reader_.unknown(fmt::format("the register type '{}'", type.text));
    }
  }

  void registers() {
    const Width width = register_width();
    do {
      const Token name = reader_.expect(Token::Kind::word, "a register name");
      if (reader_.accept('<')) {
        const std::uint64_t count = reader_.integer("a number of registers", max_range);
        names_.add_registers(name, width, static_cast<std::uint32_t>(count));
        reader_.expect('>');
      } else {
        names_.add_register(name, width);
      }
    } while (reader_.accept(','));
    reader_.expect(';');
  }

  void variable(Space space) {
    Variable variable = reader_.variable(space, false);
    reader_.expect(';');
    if (space == Space::global || space == Space::constant)
      reader_.unknown(
          fmt::format("the variable '{}' of static storage in a function", variable.name));
    names_.add_variable(std::move(variable));
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
    if (!reader_.accept(".branchtargets")) return names_.add_label(name);
    std::vector<std::uint32_t> labels;
    do {
      labels.push_back(names_.use_label(reader_.expect(Token::Kind::word, "a label")));
    } while (reader_.accept(','));
    reader_.expect(';');
    names_.add_targets(name, std::move(labels));
  }

  std::uint32_t predicate() {
    const Token name = reader_.expect(Token::Kind::word, "a predicate");
    const Operand found = names_.find(name);
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
    Operand result = names_.find(reader_.expect(Token::Kind::word, "an operand"));
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
      case Literal::Kind::none:
        reader_.fail(token.line, fmt::format("'{}' is not a number", token.text));
      case Literal::Kind::integer:
        if (negative) result.value = 0 - result.value;
        return result;
      case Literal::Kind::single_bits:
        result.single = true;
        break;
      case Literal::Kind::real_bits:
        break;
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
                                   : names_.find(reader_.expect(Token::Kind::word, "an address")));
    if (reader_.token().is('+') || reader_.token().is('-')) result.value = displacement();
    if (!reader_.token().is(']'))
      reader_.unknown(fmt::format("the address operand '{}'", reader_.token().text));
    reader_.advance();
    return result;
  }

  Reader& reader_;
  Function& function_;
  Names names_;
};

}  // namespace

void parse_body(Reader& reader, Function& function) {
  reader.location = {};
  BodyParser(reader, function).run();
}

}  // namespace lacuna::runtime::host::ptx
