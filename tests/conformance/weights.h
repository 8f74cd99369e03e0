#pragma once
#include "compiler/plan/entmax.h"
#include "compiler/plan/route.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::tests {

/// Every way to weigh, with what it declares. An alpha that a call gives is called `alpha_`.
inline const std::vector<std::string> weights = {
    "weights entmax(1.5)",
    "weights softmax",
    "weights softmax(sink = 0.5 - f32(h))",
    "weights entmax(1.25)",
    "weights entmax(1.3333334)",
    "weights sparsemax",
    "weights entmax(1.7)",
    "weights entmax(1.05)",
    "param alpha_: f32\nweights entmax(alpha_)",
    "tensor alpha_: f32[head]\nweights entmax(alpha_)",
};

/// Whether a cover is run as a whole, and not a random third of it: LACUNA_COVER=all, as `ctest -L
/// deep` says.
inline bool runs_all() {
  const char* const cover = std::getenv("LACUNA_COVER");
  return cover && std::string(cover) == "all";
}

/// Masks and score of `statements`, weighed by `weights` instead of what they say.
inline Pattern weighed(const std::string& statements, const std::string& weights) {
  const std::string kept = statements.substr(0, statements.find("weights "));
  return Pattern::parse("attention weighed {\n" + kept + "\n" + weights + "\n}\n", "weighed.lac");
}

/// A call, as a failure shows it.
inline std::string describe(const Spec& s, const Shape& shape, const fuzz::OwnedCall& call) {
  std::string text = fmt::format(
      "{}\n{} D={} Dv={} -> {} statistic={} escort={} lengths={} B={} H={} G={} Nq={} Nk={}\n",
      s.pattern.text(), name_of(s.dtype), s.head_dim, s.value_dim,
      name_of(s.output.value_or(s.dtype)), s.statistic, s.escort, static_cast<int>(s.lengths),
      shape.batch, shape.heads, shape.kv_heads, shape.queries, shape.keys);
  for (const NamedValue& param : call.params)
    if (param.name == "alpha_") text += fmt::format("alpha {}\n", std::get<float>(param.value));
  for (const auto& [name, storage] : s.storage)
    text += fmt::format("{} stored as {}\n", name, name_of(storage));
  for (const std::string& note : call.notes) text += note + "\n";
  return text;
}

/// The rows of a cover that a run takes: all, or another third each time.
inline std::vector<std::vector<int>> chosen(std::vector<std::vector<int>> rows,
                                            fuzz::Random& random) {
  if (runs_all()) return rows;
  std::shuffle(rows.begin(), rows.end(), random);
  rows.resize(rows.size() / 3);
  return rows;
}

/// A pass of short rows that has room for so many keys, or 0.
inline std::size_t any_short_rows(const plan::Plan& plan, std::int64_t keys, fuzz::Draw& draw) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < plan.passes.size(); ++i)
    if (plan.passes[i].kind == plan::PassKind::short_rows && keys <= plan.passes[i].most_keys)
      all.push_back(i);
  return all.empty() ? 0 : draw.of(all);
}

/// For calls of entmax whose shape decides nothing: threshold and accumulate, or few queries with
/// more splits than one round of keys needs, or fewer, or short rows where there is room.
inline plan::Route any_route(const plan::Plan& plan, const Shape& shape, fuzz::Draw& draw) {
  if (!plan::weighs_by_entmax(plan) || draw.chance(0.4)) return {};
  if (draw.chance(0.5)) return {.decode = true, .splits = draw.of({1, 2, 7})};
  return {.short_rows = any_short_rows(plan, shape.keys, draw)};
}

/// Gives the call an alpha where it needs one: for a tensor some heads have 1 and others not, and
/// `memory` holds them.
inline void give_alpha(fuzz::OwnedCall& call, fuzz::Draw& draw, std::vector<float>& memory) {
  const auto any = [&] { return draw.of({1.0f, 1.01f, 1.25f, 1.5f, 1.7f, 2.0f}); };
  for (NamedValue& param : call.params)
    if (param.name == "alpha_") param.value = any();
  call.args.params = call.params;
  for (NamedTensor& tensor : call.tensors) {
    if (tensor.name != "alpha_") continue;
    memory.clear();
    for (std::int64_t h = 0; h < call.shape.heads; ++h) memory.push_back(h % 3 == 1 ? 1.0f : any());
    tensor.view = TensorView::contiguous(memory.data(), DType::f32, {call.shape.heads});
  }
  call.args.tensors = call.tensors;
}

}  // namespace lacuna::tests
