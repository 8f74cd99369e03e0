#include "runtime/host/ptx/parser.h"

#include "lacuna/error.hpp"

#include "runtime/host/ptx/body.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::ptx {
namespace {

constexpr std::size_t max_text_bytes = std::size_t{64} << 20;
constexpr std::size_t max_module_variables = 4096;

class ModuleParser {
 public:
  explicit ModuleParser(Module& module) : reader_(Lexer(*module.text), module), module_(module) {}

  void run() {
    while (reader_.token().kind != Token::Kind::end) item();
    if (module_.version.empty()) reader_.fail("the text does not begin with .version");
  }

 private:
  void item() {
    if (reader_.token().kind != Token::Kind::directive)
      reader_.fail(fmt::format("expected a directive but found '{}'", reader_.token().text));
    if (reader_.accept(".version")) {
      module_.version = reader_.expect(Token::Kind::number, "a version").text;
    } else if (reader_.accept(".target")) {
      target();
    } else if (reader_.accept(".address_size")) {
      if (reader_.integer("an address size", 64) != 64) reader_.unknown("an address size but 64");
    } else if (reader_.accept(".file")) {
      reader_.file();
    } else if (reader_.accept(".section")) {
      reader_.expect(Token::Kind::directive, "a section name");
      reader_.skip_block();
    } else if (reader_.accept(".pragma")) {
      reader_.unknown(fmt::format("the module pragma \"{}\"", reader_.token().text));
    } else {
      declaration();
    }
  }

  void target() {
    module_.target = reader_.expect(Token::Kind::word, "a target").text;
    while (reader_.accept(',')) {
      const Token option = reader_.expect(Token::Kind::word, "a target option");
      if (option.text != "debug")
        reader_.unknown(fmt::format("the target option '{}'", option.text));
    }
  }

  void declaration() {
    bool external = false;
    for (;;) {
      if (reader_.accept(".extern"))
        external = true;
      else if (!reader_.accept(".visible") && !reader_.accept(".weak") &&
               !reader_.accept(".common"))
        break;
    }
    if (reader_.accept(".entry"))
      function(true);
    else if (reader_.accept(".func"))
      function(false);
    else if (reader_.accept(".global"))
      variables(Space::global, external);
    else if (reader_.accept(".const"))
      variables(Space::constant, external);
    else if (reader_.accept(".shared"))
      variables(Space::shared, external);
    else
      reader_.unknown(fmt::format("the directive '{}'", reader_.token().text));
  }

  void variables(Space space, bool external) {
    Variable variable = reader_.variable(space, external);
    reader_.expect(';');
    if (external && space != Space::shared)
      reader_.unknown(fmt::format("the variable '{}', defined in another module", variable.name));
    if (module_.variables.size() == max_module_variables)
      reader_.fail(fmt::format("more than {} variables", max_module_variables));
    for (const Variable& other : module_.variables)
      if (other.name == variable.name)
        reader_.fail(fmt::format("'{}' is already defined on line {}", variable.name, other.line));
    module_.variables.push_back(std::move(variable));
  }

  void parameters(Function& function, std::vector<std::uint32_t>& list) {
    if (!reader_.accept('(')) return;
    if (reader_.accept(')')) return;
    do {
      if (!reader_.accept(".param"))
        reader_.unknown(fmt::format("the parameter kind '{}'", reader_.token().text));
      list.push_back(static_cast<std::uint32_t>(function.variables.size()));
      function.variables.push_back(reader_.variable(Space::param, false));
    } while (reader_.accept(','));
    reader_.expect(')');
  }

  void triple(std::array<std::uint32_t, 3>& extents) {
    extents = {1, 1, 1};
    for (int axis = 0; axis < 3; ++axis) {
      extents[axis] = static_cast<std::uint32_t>(reader_.integer("a number of threads", 1 << 20));
      if (!reader_.accept(',')) return;
    }
  }

  /// What a function says about itself between its parameters and its body.
  void attributes(Function& function) {
    for (;;) {
      if (reader_.accept(".maxntid")) {
        triple(function.max_threads);
      } else if (reader_.accept(".reqntid")) {
        triple(function.required_threads);
      } else if (reader_.accept(".minnctapersm") || reader_.accept(".maxnctapersm") ||
                 reader_.accept(".maxnreg")) {
        reader_.integer("a resource limit", 1 << 20);  // a hint to ptxas, nothing to execute
      } else if (!reader_.accept(".noreturn")) {
        if (reader_.token().kind == Token::Kind::directive)
          reader_.unknown(fmt::format("the directive '{}'", reader_.token().text));
        return;
      }
    }
  }

  void function(bool entry) {
    Function parsed{.entry = entry};
    if (!entry) parameters(parsed, parsed.returns);
    const Token name = reader_.expect(Token::Kind::word, "a function name");
    parsed.name = name.text;
    parsed.line = name.line;
    parameters(parsed, parsed.params);
    attributes(parsed);
    Function& known = declare(std::move(parsed));
    if (reader_.accept(';')) return;
    if (known.defined) reader_.fail(fmt::format("'{}' is defined twice", name.text));
    known.defined = true;
    parse_body(reader_, known);
  }

  /// A definition takes its own parameter names, not those of an earlier declaration.
  Function& declare(Function parsed) {
    for (Function& other : module_.functions) {
      if (other.name != parsed.name) continue;
      if (!other.defined) other = std::move(parsed);
      return other;
    }
    module_.functions.push_back(std::move(parsed));
    return module_.functions.back();
  }

  Reader reader_;
  Module& module_;
};

}  // namespace

std::string Module::source_place(const Location& location) const {
  const auto place = [&](std::uint32_t file, std::uint32_t line) {
    return fmt::format("{}:{}", file < files.size() ? files[file] : std::string_view("?"), line);
  };
  if (location.line == 0) return {};
  if (location.inlined_line == 0) return place(location.file, location.line);
  return fmt::format("{}, inlined at {}", place(location.file, location.line),
                     place(location.inlined_file, location.inlined_line));
}

Module parse(std::string text) {
  if (text.size() > max_text_bytes)
    throw Error(ErrorKind::unsupported, fmt::format("the PTX text has {} bytes; the limit is {}",
                                                    text.size(), max_text_bytes));
  while (!text.empty() && text.back() == '\0') text.pop_back();
  Module module;
  module.text = std::make_shared<const std::string>(std::move(text));
  ModuleParser(module).run();
  return module;
}

}  // namespace lacuna::runtime::host::ptx
