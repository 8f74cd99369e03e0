#include "compiler/base/digest.h"

#include "compiler/lang/compact.h"
#include "compiler/lang/text.h"

#include <bit>
#include <unordered_map>

namespace lacuna::lang {
namespace {

/// Numbers nodes in the order in which a walk from the roots first leaves them: by structure,
/// whatever the order in which a graph was built.
class PatternDigest {
 public:
  explicit PatternDigest(const ir::Pattern& pattern) : pattern_(pattern) {}

  std::string run() {
    for (const ir::Param& param : pattern_.params) add(param);
    for (const ir::Tensor& tensor : pattern_.tensors) add(tensor);
    for (const ir::Mask& mask : pattern_.masks) {
      digest_.add("mask", node(mask.expr));
      digest_.add("hint", mask.hint ? std::bit_cast<std::uint64_t>(*mask.hint) : ~std::uint64_t{0});
      digest_.add("plan", static_cast<int>(mask.wish));
    }
    digest_.add("score", node(pattern_.score));
    digest_.add("weights", static_cast<int>(pattern_.weights.kind));
    digest_.add("sink", node(pattern_.weights.sink));
    digest_.add("alpha", node(pattern_.weights.alpha));
    return digest_.hex();
  }

 private:
  void add(const ir::Param& param) {
    digest_.add("param", param.name).add("type", name_of(param.type));
    if (!param.initial) return;
    auto bits = std::visit(
        [](auto value) {
          if constexpr (sizeof(value) == sizeof(std::uint32_t))
            return std::bit_cast<std::uint32_t>(value);
          return static_cast<std::uint32_t>(value);
        },
        *param.initial);
    digest_.add("initial", bits);
  }

  void add(const ir::Tensor& tensor) {
    digest_.add("tensor", tensor.name).add("type", name_of(tensor.type));
    for (const ir::Axis& axis : tensor.axes) digest_.add(name_of(axis.kind), axis.extent);
  }

  std::uint32_t node(ir::NodeId id) {
    if (id == ir::no_node) return ir::no_node;
    if (auto known = numbers_.find(id); known != numbers_.end()) return known->second;
    std::vector<std::uint32_t> operands;
    for (ir::NodeId operand : pattern_.graph.operands(id)) operands.push_back(node(operand));
    const ir::Node& node = pattern_.graph[id];
    digest_.add("op", ir::row(node.op).name)
        .add("type", name_of(node.type))
        .add("payload", node.payload);
    for (std::uint32_t operand : operands) digest_.add("operand", operand);
    auto number = static_cast<std::uint32_t>(numbers_.size());
    return numbers_[id] = number;
  }

  const ir::Pattern& pattern_;
  Digest digest_;
  std::unordered_map<ir::NodeId, std::uint32_t> numbers_;
};

}  // namespace

std::string digest(const ir::Pattern& pattern) {
  return PatternDigest(pattern).run();
}

}  // namespace lacuna::lang
