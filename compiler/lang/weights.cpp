#include "compiler/lang/weights.h"

#include "compiler/base/diagnostic.h"
#include "compiler/ir/print.h"

#include <fmt/format.h>

#include <array>

namespace lacuna::lang {
namespace {

constexpr ir::Dependence not_of_row = ir::on(ir::Variable::score) | ir::on(ir::Variable::k);
constexpr Role in_alpha = {not_of_row, "may not be used in alpha, which is one value per head"};
constexpr Role in_sink = {not_of_row,
                          "may not be used in a sink, which is one value per query row"};

class WeightsResolver {
 public:
  WeightsResolver(const WeightsStatement& statement, const ir::Pattern& pattern, Typing& typing,
                  const Scope& scope)
      : statement_(statement), pattern_(pattern), typing_(typing), scope_(scope) {}

  ir::Weights run(ir::Graph& graph) {
    if (statement_.name == "softmax") return softmax();
    if (statement_.name == "entmax") return entmax(graph);
    if (statement_.name == "sparsemax") return sparsemax(graph);
    constexpr std::array<std::string_view, 3> known = {"softmax", "entmax", "sparsemax"};
    fail(statement_.place, fmt::format("weights are softmax, entmax or sparsemax; found '{}'{}",
                                       statement_.name, suggestion(statement_.name, known)));
  }

 private:
  ir::Weights softmax() {
    ir::Weights weights;
    const auto& arguments = statement_.arguments;
    if (arguments.empty()) return weights;
    if (arguments.size() > 1 || arguments[0].name != "sink") {
      fail(arguments[arguments.size() > 1].place,
           "softmax takes one argument, softmax(sink = ...)");
    }
    weights.sink = typing_.resolve_real(*arguments[0].value, scope_.view(), in_sink);
    if (typing_.type(weights.sink) != ir::Type::f32)
      fail(arguments[0].place, "a sink is f32; found bool");
    return weights;
  }

  ir::Weights entmax(ir::Graph& graph) {
    const auto& arguments = statement_.arguments;
    bool one = arguments.size() == 1 && (arguments[0].name.empty() || arguments[0].name == "alpha");
    if (!one) fail(statement_.place, "entmax takes one argument, entmax(alpha)");
    ir::Weights weights{ir::WeightsKind::entmax};
    weights.alpha = alpha(*arguments[0].value, arguments[0].place, graph);
    bool is_softmax = graph.is_constant(weights.alpha) && graph.float_value(weights.alpha) == 1;
    return is_softmax ? ir::Weights{} : weights;
  }

  ir::Weights sparsemax(ir::Graph& graph) {
    if (!statement_.arguments.empty()) fail(statement_.place, "sparsemax takes no argument");
    return {ir::WeightsKind::entmax, ir::no_node, graph.constant(2.0f)};
  }

  ir::NodeId alpha(const Expr& e, Place place, ir::Graph& graph) {
    ir::NodeId id = whole_tensor(e, graph);
    if (id == ir::no_node) id = typing_.resolve(e, scope_.view(), in_alpha);
    if (graph.is_constant(id)) id = typing_.promoted(id);
    const ir::Node& node = graph[id];
    bool f32 = node.type == ir::Type::f32;
    if (f32 && node.op == ir::Op::constant) {
      check_range(graph.float_value(id), place);
      return id;
    }
    if (f32 && node.op == ir::Op::param) {
      auto& initial = pattern_.params[node.payload].initial;
      if (initial) check_range(std::get<float>(*initial), place);
      return id;
    }
    bool per_head = f32 && node.op == ir::Op::read && is_per_head(pattern_.tensors[node.payload]);
    if (!per_head) fail(place, "alpha is a constant, an f32 param or an f32[head] tensor");
    return id;
  }

  static bool is_per_head(const ir::Tensor& tensor) {
    return tensor.axes.size() == 1 && tensor.axes[0].kind == ir::AxisKind::head;
  }

  /// entmax(t) with the name of a tensor stands for entmax(t[h]).
  ir::NodeId whole_tensor(const Expr& e, ir::Graph& graph) {
    if (e.kind != ExprKind::name || find(scope_.view(), e.name, Sought::value)) return ir::no_node;
    auto found = find(scope_.view(), e.name, Sought::tensor);
    if (!found || !is_per_head(pattern_.tensors[found->index])) return ir::no_node;
    ir::NodeId h[] = {graph.variable(ir::Variable::h)};
    return graph.read(found->index, pattern_.tensors[found->index].type, h);
  }

  void check_range(float alpha, Place place) {
    if (alpha == 1 || (alpha >= 1.01f && alpha <= 2)) return;
    fail(place, fmt::format("alpha is 1 or from 1.01 to 2; found {}", ir::print(Literal(alpha))));
  }

  [[noreturn]] void fail(Place place, std::string_view message) const {
    scope_.fail(place, message);
  }

  const WeightsStatement& statement_;
  const ir::Pattern& pattern_;
  Typing& typing_;
  const Scope& scope_;
};

}  // namespace

ir::Weights resolve_weights(const WeightsStatement& statement, ir::Pattern& pattern, Typing& typing,
                            const Scope& scope) {
  return WeightsResolver(statement, pattern, typing, scope).run(pattern.graph);
}

}  // namespace lacuna::lang
