#include "tests/mutants/seeded.h"

#include <fmt/format.h>

#include <set>
#include <sstream>
#include <stdexcept>

namespace lacuna::tests {
namespace {

std::string_view template_text(std::string_view name) {
  for (const codegen::TemplateFile& file : codegen::templates())
    if (file.name == name) return file.text;
  throw std::runtime_error(fmt::format("there is no template '{}'", name));
}

class Expansion {
 public:
  explicit Expansion(const Mutant* mutant) : mutant_(mutant) {}

  void append(std::string_view name, std::string_view text) {
    std::istringstream lines{std::string(text)};
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      constexpr std::string_view include = "#include \"";
      if (line == "#pragma once") line.clear();
      if (!line.starts_with(include)) {
        text_ += line + "\n";
        continue;
      }
      const std::string file = line.substr(include.size(), line.rfind('"') - include.size());
      if (included_.insert(file).second) {
        text_ += fmt::format("#line 1 \"{}\"\n", file);
        append(file, seeded(file));
      }
      text_ += fmt::format("#line {} \"{}\"\n", number + 1, name);
    }
  }
  std::string take() { return std::move(text_); }

 private:
  std::string seeded(std::string_view file) const {
    std::string text(template_text(file));
    if (!mutant_ || mutant_->file != file) return text;
    const std::size_t at = text.find(mutant_->text);
    if (at == text.npos || text.find(mutant_->text, at + 1) != text.npos)
      throw std::runtime_error(fmt::format("'{}': {} has {} of the text that it replaces: {}",
                                           mutant_->name, file,
                                           at == text.npos ? "none" : "several", mutant_->text));
    return text.replace(at, mutant_->text.size(), mutant_->instead);
  }

  const Mutant* mutant_;
  std::string text_;
  std::set<std::string> included_;
};

}  // namespace

std::string expand(const std::string& source, const Mutant* mutant) {
  Expansion expansion(mutant);
  expansion.append("source.cu", source);
  return expansion.take();
}

runtime::Artifact Once::compile(const codegen::Source& source,
                                const runtime::CompileOptions& options) const {
  const std::string key = inner_->options(source, options) + "\n" + source.text;
  std::lock_guard lock(mutex_);
  if (const auto known = compiled_.find(key); known != compiled_.end()) return known->second;
  return compiled_[key] = inner_->compile(source, options);
}

runtime::Artifact Seeded::compile(const codegen::Source& source,
                                  const runtime::CompileOptions& options) const {
  codegen::Source expanded = source;
  expanded.text = expand(source.text, mutant_);
  return inner_->compile(expanded, options);
}

}  // namespace lacuna::tests
