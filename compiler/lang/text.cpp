#include "compiler/lang/text.h"

#include "compiler/lang/sharing.h"

#include <fmt/format.h>

#include <array>
#include <iterator>

namespace lacuna::lang {
namespace {

class TextWriter {
 public:
  explicit TextWriter(const ir::Pattern& pattern) : pattern_(pattern), sharing_(sharing(pattern)) {}

  std::string run() {
    line("attention {} {{", pattern_.name);
    for (const ir::Param& param : pattern_.params) put(param);
    for (const ir::Tensor& tensor : pattern_.tensors) put(tensor);
    for (ir::NodeId id : sharing_.order) {
      line("  def {} = {}", sharing_.names.at(id),
           ir::print(pattern_.graph, id, pattern_, sharing_.names));
    }
    for (const ir::Mask& mask : pattern_.masks) put(mask);
    if (pattern_.score != ir::no_node) line("  score {}", expr(pattern_.score));
    put(pattern_.weights);
    line("}}");
    return std::move(text_);
  }

 private:
  template <class... T>
  void line(fmt::format_string<T...> format, T&&... values) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<T>(values)...);
    text_ += '\n';
  }

  std::string expr(ir::NodeId id) const {
    auto name = sharing_.names.find(id);
    if (name != sharing_.names.end()) return name->second;
    return ir::print(pattern_.graph, id, pattern_, sharing_.names);
  }

  void put(const ir::Param& param) {
    auto initial = param.initial ? " = " + ir::print(*param.initial) : std::string();
    line("  param {}: {}{}", param.name, name_of(param.type), initial);
  }

  void put(const ir::Tensor& tensor) {
    std::string axes;
    for (const ir::Axis& axis : tensor.axes) {
      if (!axes.empty()) axes += ", ";
      bool fixed = axis.kind == ir::AxisKind::fixed;
      axes += fixed ? std::to_string(axis.extent) : std::string(name_of(axis.kind));
    }
    line("  tensor {}: {}[{}]", tensor.name, name_of(tensor.type), axes);
  }

  void put(const ir::Mask& mask) {
    constexpr std::array<std::string_view, 5> wishes = {"", " plan select", " plan order",
                                                        " plan tiles", " plan elements"};
    auto hint = mask.hint ? fmt::format(" hint {}", *mask.hint) : std::string();
    line("  mask {}{}{}", expr(mask.expr), hint, wishes[static_cast<std::size_t>(mask.wish)]);
  }

  void put(const ir::Weights& weights) {
    if (weights.kind == ir::WeightsKind::entmax)
      return line("  weights entmax({})", expr(weights.alpha));
    if (weights.sink == ir::no_node) return line("  weights softmax");
    line("  weights softmax(sink = {})", expr(weights.sink));
  }

  const ir::Pattern& pattern_;
  Sharing sharing_;
  std::string text_;
};

}  // namespace

std::string text(const ir::Pattern& pattern) {
  return TextWriter(pattern).run();
}

}  // namespace lacuna::lang
