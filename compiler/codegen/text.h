#pragma once
#include "compiler/ir/pattern.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace lacuna::codegen {

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
  static std::string escaped(std::string_view path) {
    std::string out;
    for (const char c : path) {
      if (c == '"' || c == '\\') out += '\\';
      out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return out;
  }

  std::string name_, text_;
  Span where_;
  int lines_ = 0;
};

}  // namespace lacuna::codegen
