#include "compiler/plan/conjunct.h"

#include "compiler/ir/print.h"

namespace lacuna::plan {
namespace {

using ir::Graph;
using ir::NodeId;
using ir::Op;
using ir::Variable;

bool on_query(const Graph& graph, NodeId id) {
  return graph.dependence(id) & ir::on(Variable::q);
}
bool on_key(const Graph& graph, NodeId id) {
  return graph.dependence(id) & ir::on(Variable::k);
}

// hq[q] == hk[k]: one side knows only the query, the other only the key.
bool is_equi_join(const Graph& graph, NodeId id) {
  if (graph[id].op != Op::eq_i32) return false;
  const NodeId a = graph.operands(id)[0], b = graph.operands(id)[1];
  return (on_query(graph, a) && !on_key(graph, a) && on_key(graph, b) && !on_query(graph, b)) ||
         (on_query(graph, b) && !on_key(graph, b) && on_key(graph, a) && !on_query(graph, a));
}

struct Choice {
  Strategy best;
  std::string_view why;
};

Choice best_strategy(const Graph& graph, NodeId id) {
  const bool q = on_query(graph, id), k = on_key(graph, id);
  if (q && !k) return {Strategy::select_q, "depends on the query only"};
  if (k && !q) return {Strategy::select_k, "depends on the key only"};
  if (!k) return {Strategy::tiles, "depends on neither position"};
  if (is_equi_join(graph, id))
    return {Strategy::order, "equality of a query value and a key value"};
  return {Strategy::tiles, "not affine in the positions"};
}

/// What was asked for and is not offered, or "".
std::string_view refused(ir::PlanWish wish, Strategy taken) {
  if (wish == ir::PlanWish::select) return "; a selection was asked for and is not offered yet";
  if (wish == ir::PlanWish::order) return "; an order was asked for and is not offered yet";
  if (wish == ir::PlanWish::tiles && taken == Strategy::band)
    return "; tiles were asked for, and its closed form needs no list";
  return "";
}

Conjunct classify(const ir::Pattern& pattern, const ir::Mask& mask, NodeId expr) {
  const Graph& graph = pattern.graph;
  Conjunct c;
  c.expr = expr;
  c.where = mask.where;
  c.text = ir::print(graph, expr, pattern);
  c.key_only = on_key(graph, expr) && !on_query(graph, expr);
  if (auto bands = bands_of(pattern, expr)) {
    c.best = Strategy::band;
    c.why = "affine in the positions";
    if (mask.wish != ir::PlanWish::elements) {
      c.taken = Strategy::band;
      c.bands = std::move(*bands);
      c.why += refused(mask.wish, c.taken);
      return c;
    }
  } else {
    const Choice choice = best_strategy(graph, expr);
    c.best = choice.best;
    c.why = choice.why;
    if (mask.wish != ir::PlanWish::elements) c.taken = Strategy::tiles;
  }
  c.as_wished = mask.wish == ir::PlanWish::elements;
  if (c.as_wished) c.why += "; elements were asked for";
  c.why += refused(mask.wish, c.taken);
  return c;
}

void split(const Graph& graph, NodeId id, std::vector<NodeId>& out) {
  if (graph[id].op == Op::logical_and) {
    for (const NodeId operand : graph.operands(id)) split(graph, operand, out);
  } else if (!graph.is_constant(id) || !graph.bool_value(id)) {
    out.push_back(id);
  }
}

}  // namespace

std::vector<Conjunct> conjuncts_of(const ir::Pattern& pattern) {
  std::vector<Conjunct> out;
  for (const ir::Mask& mask : pattern.masks) {
    std::vector<NodeId> parts;
    split(pattern.graph, mask.expr, parts);
    for (const NodeId part : parts) out.push_back(classify(pattern, mask, part));
  }
  return out;
}

}  // namespace lacuna::plan
