#include "runtime/host/ptx/names.h"

#include <fmt/format.h>

#include <charconv>

namespace lacuna::runtime::host::ptx {
namespace {

using Kind = Operand::Kind;

constexpr int max_depth = 200;
constexpr std::size_t max_registers = 1 << 20;

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

/// Names that PTX itself defines: "%tid.x", "%laneid", "%clock64"; the decoder knows which of them
/// it can serve.
bool is_special(std::string_view name) {
  if (name.find_first_of("0123456789") == name.npos || name.find('.') != name.npos) return true;
  for (std::string_view prefix : {"%clock", "%envreg", "%pm", "%reserved"})
    if (name.starts_with(prefix)) return true;
  return false;
}

}  // namespace

void Names::open() {
  if (scopes_.size() == max_depth)
    reader_.fail(fmt::format("scopes nest deeper than {}", max_depth));
  scopes_.emplace_back();
}

void Names::close() {
  const Scope scope = std::move(scopes_.back());
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
}

std::uint32_t Names::new_registers(Width width, std::uint32_t count) {
  const auto first = static_cast<std::uint32_t>(function_.registers.size());
  if (first + std::size_t{count} > max_registers)
    reader_.fail(fmt::format("more than {} registers", max_registers));
  function_.registers.resize(first + std::size_t{count}, width);
  return first;
}

void Names::add_register(const Token& name, Width width) {
  if (!scopes_.back().registers.emplace(name.text, new_registers(width, 1)).second)
    reader_.fail(name.line, fmt::format("the register '{}' is declared twice", name.text));
}

void Names::add_registers(const Token& prefix, Width width, std::uint32_t count) {
  const Range range{new_registers(width, count), count};
  if (!scopes_.back().ranges.emplace(prefix.text, range).second)
    reader_.fail(prefix.line, fmt::format("the registers '{}' are declared twice", prefix.text));
}

void Names::add_variable(Variable variable) {
  const auto index = static_cast<std::uint32_t>(function_.variables.size());
  if (!scopes_.back().variables.emplace(variable.name, index).second)
    reader_.fail(variable.line, fmt::format("'{}' is defined twice", variable.name));
  function_.variables.push_back(std::move(variable));
}

void Names::add_parameters() {
  for (std::uint32_t i = 0; i < function_.variables.size(); ++i)
    scopes_.back().variables.emplace(function_.variables[i].name, i);
}

void Names::add_label(const Token& name) {
  const auto index = static_cast<std::uint32_t>(function_.labels.size());
  if (!scopes_.back().labels.emplace(name.text, index).second)
    reader_.fail(name.line, fmt::format("the label '{}' is defined twice", name.text));
  function_.labels.push_back({name.text, static_cast<std::uint32_t>(function_.body.size())});
}

void Names::add_targets(const Token& name, std::vector<std::uint32_t> labels) {
  const auto index = static_cast<std::uint32_t>(function_.targets.size());
  if (!scopes_.back().targets.emplace(name.text, index).second)
    reader_.fail(name.line, fmt::format("'{}' is defined twice", name.text));
  function_.targets.push_back(std::move(labels));
}

/// Each use has an entry of its own, for close() to settle.
std::uint32_t Names::use_label(const Token& name) {
  const auto index = static_cast<std::uint32_t>(function_.labels.size());
  function_.labels.push_back({name.text, 0});
  scopes_.back().pending.push_back({index, name.line});
  return index;
}

Operand Names::find(const Token& name) {
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
  return find_outside(name);
}

Operand Names::find_outside(const Token& name) {
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

}  // namespace lacuna::runtime::host::ptx
