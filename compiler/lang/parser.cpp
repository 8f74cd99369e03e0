#include "compiler/lang/parser.h"

#include "compiler/base/diagnostic.h"
#include "compiler/lang/cursor.h"
#include "compiler/lang/lexer.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace lacuna::lang {
namespace {

constexpr std::array<std::string_view, 7> statement_words = {"def",  "param", "const",  "tensor",
                                                             "mask", "score", "weights"};

class Parser {
 public:
  Parser(File& file, TextKind kind) : file_(file), kind_(kind), cursor_(file.origin, file.text) {}

  void run() {
    for (cursor_.skip_newlines(); cursor_.peek().kind != TokenKind::end; cursor_.skip_newlines()) {
      if (cursor_.at("def")) {
        file_.defs.push_back(def());
        end_of_statement();
      } else if (cursor_.at("attention")) {
        file_.attentions.push_back(attention());
      } else {
        cursor_.expected("'def' or 'attention'");
      }
    }
    if (file_.attentions.empty() && kind_ == TextKind::program) {
      cursor_.fail(cursor_.peek().place, "the text has no attention");
    }
  }

 private:
  Attention attention() {
    cursor_.take();
    const Token& name = cursor_.expect_name("the attention's name");
    for (const Attention& other : file_.attentions) {
      if (other.name != name.text) continue;
      cursor_.fail(name.place, fmt::format("'{}' is already an attention at line {}", name.text,
                                           other.place.line));
    }
    Attention result{std::string(name.text), name.place, {}, file_.defs.size()};
    cursor_.skip_newlines();
    const Token& open = cursor_.expect("{", "'{'");
    for (cursor_.skip_newlines(); !cursor_.at("}"); cursor_.skip_newlines()) {
      if (cursor_.peek().kind == TokenKind::end) cursor_.expect_close("}", open);
      result.statements.push_back(statement());
      end_of_statement();
    }
    cursor_.take();
    return result;
  }

  Statement statement() {
    if (cursor_.at("def")) return def();
    if (cursor_.at("param")) return param();
    if (cursor_.at("const")) return constant();
    if (cursor_.at("tensor")) return tensor();
    if (cursor_.at("mask")) return mask();
    if (cursor_.at("score")) return score();
    if (cursor_.at("weights")) return weights();
    const Token& token = cursor_.peek();
    if (token.kind == TokenKind::name) {
      auto near = suggestion(token.text, statement_words);
      cursor_.fail(token.place, fmt::format("'{}' begins no statement{}", token.text, near));
    }
    cursor_.expected("def, param, const, tensor, mask, score, weights or '}'");
  }

  /// A line's end, or what can only begin or close something else.
  void end_of_statement() {
    auto kind = cursor_.peek().kind;
    if (kind == TokenKind::newline || kind == TokenKind::end || cursor_.at("}")) return;
    for (auto word : statement_words) {
      if (cursor_.at(word)) return;
    }
    if (!cursor_.at("attention")) cursor_.expected("the end of the statement");
  }

  DefStatement def() {
    cursor_.take();
    const Token& name = cursor_.expect_name("the def's name");
    DefStatement result{std::string(name.text), name.place, {}, nullptr};
    const Token& open = cursor_.peek();
    if (cursor_.take_if("(")) {
      do {
        const Token& parameter = cursor_.expect_name("a parameter's name");
        result.parameters.push_back({std::string(parameter.text), parameter.place});
      } while (cursor_.take_if(","));
      cursor_.expect_close(")", open);
    }
    cursor_.expect("=", "'='");
    result.body = parse_expression(cursor_);
    return result;
  }

  ParamStatement param() {
    cursor_.take();
    const Token& name = cursor_.expect_name("the param's name");
    ParamStatement result{std::string(name.text), name.place, type(), nullptr};
    if (cursor_.take_if("=")) result.initial = parse_literal(cursor_);
    return result;
  }

  ConstStatement constant() {
    cursor_.take();
    const Token& name = cursor_.expect_name("the const's name");
    cursor_.expect("=", "'='");
    return {std::string(name.text), name.place, parse_expression(cursor_)};
  }

  TensorStatement tensor() {
    cursor_.take();
    const Token& name = cursor_.expect_name("the tensor's name");
    TensorStatement result{std::string(name.text), name.place, type(), {}, {}};
    const Token& open = cursor_.expect("[", "'[' and the tensor's axes");
    if (!cursor_.at("]")) {
      do {
        result.places.push_back(cursor_.peek().place);
        result.axes.push_back(axis());
      } while (cursor_.take_if(","));
    }
    cursor_.expect_close("]", open);
    return result;
  }

  ir::Type type() {
    cursor_.expect(":", "':' and a type");
    for (ir::Type type : {ir::Type::boolean, ir::Type::i32, ir::Type::f32}) {
      if (cursor_.take_if(name_of(type))) return type;
    }
    cursor_.expected("a type: bool, i32 or f32");
  }

  ir::Axis axis() {
    const Token& token = cursor_.peek();
    if (token.kind == TokenKind::integer) {
      return {ir::AxisKind::fixed, parse_integer(cursor_, cursor_.take())};
    }
    constexpr std::array<std::string_view, 5> words = {"batch", "head", "kv_head", "query", "key"};
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (cursor_.take_if(words[i])) return {static_cast<ir::AxisKind>(i)};
    }
    if (cursor_.take_if("_")) return {ir::AxisKind::any};
    constexpr std::string_view wanted =
        "an axis: batch, head, kv_head, query, key, an INTEGER or _";
    if (token.kind != TokenKind::name) cursor_.expected(wanted);
    cursor_.fail(token.place, fmt::format("expected {}; found '{}'{}", wanted, token.text,
                                          suggestion(token.text, words)));
  }

  MaskStatement mask() {
    cursor_.take();
    const Token& first = cursor_.peek();
    MaskStatement result{parse_expression(cursor_), first.place};
    result.text = one_line(cursor_.text_since(first));
    while (cursor_.at("hint") || cursor_.at("plan")) {
      const Token& word = cursor_.take();
      bool again = word.is("hint") ? result.hint.has_value() : result.wish != ir::PlanWish::none;
      if (again) cursor_.fail(word.place, fmt::format("a mask has one '{}'", word.text));
      if (word.is("hint")) {
        result.hint_place = cursor_.peek().place;
        result.hint = number();
      } else {
        result.wish = wish();
      }
    }
    return result;
  }

  double number() {
    const Token& token = cursor_.peek();
    if (token.kind == TokenKind::integer) {
      return static_cast<double>(parse_integer(cursor_, cursor_.take()));
    }
    if (token.kind == TokenKind::real) return parse_real<double>(cursor_, cursor_.take());
    cursor_.expected("a number: the fraction of pairs that this mask leaves");
  }

  ir::PlanWish wish() {
    constexpr std::array<std::string_view, 4> words = {"select", "order", "tiles", "elements"};
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (cursor_.take_if(words[i])) return static_cast<ir::PlanWish>(i + 1);
    }
    cursor_.expected("a plan: select, order, tiles or elements");
  }

  ScoreStatement score() {
    cursor_.take();
    Place place = cursor_.peek().place;
    return {parse_expression(cursor_), place};
  }

  WeightsStatement weights() {
    cursor_.take();
    const Token& name = cursor_.expect_name("softmax, entmax or sparsemax");
    WeightsStatement result{std::string(name.text), name.place, {}};
    const Token& open = cursor_.peek();
    if (!cursor_.take_if("(")) return result;
    do {
      result.arguments.push_back(weights_argument());
    } while (cursor_.take_if(","));
    cursor_.expect_close(")", open);
    return result;
  }

  WeightsStatement::Argument weights_argument() {
    WeightsStatement::Argument result{{}, cursor_.peek().place, nullptr};
    if (cursor_.peek().kind == TokenKind::name && cursor_.peek(1).is("=")) {
      result.name = cursor_.take().text;
      cursor_.take();
    }
    result.value = parse_expression(cursor_);
    return result;
  }

  File& file_;
  TextKind kind_;
  Cursor cursor_;
};

}  // namespace

std::shared_ptr<const File> parse_file(std::string origin, std::string_view text, TextKind kind) {
  auto file = std::make_shared<File>();
  file->origin = std::move(origin);
  file->text = text;
  Parser(*file, kind).run();
  return file;
}

}  // namespace lacuna::lang
