#include "lacuna/pattern.hpp"

#include "compiler/ir/evaluate.h"
#include "compiler/lang/parser.h"
#include "compiler/lang/resolve.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

using namespace lacuna;

namespace {

constexpr int positions = 24;

/// Tensors whose rows lie at q or k, behind any other axes: the last index decides.
struct Rows : ir::Bindings {
  std::vector<std::vector<int>> values;
  ir::Value param(std::uint32_t) const override { throw std::logic_error("no params here"); }
  ir::Value read(std::uint32_t tensor, std::span<const std::int32_t> indices,
                 const ir::Site&) const override {
    return {values.at(tensor).at(indices.back()), 0};
  }
};

/// Floor division by its definition, not by the language's code.
int floored(int a, int b) {
  int quotient = 0;
  while (quotient * b > a) --quotient;
  while ((quotient + 1) * b <= a) ++quotient;
  return quotient;
}

using Rule = std::function<bool(int q, int k)>;

void check_rule(const std::string& body, const ir::Bindings& rows, const Rule& rule,
                int first_query) {
  INFO(body);
  Pattern pattern = Pattern::parse("attention a {\n" + body + "\n}", "t.lac");
  for (int q = first_query; q < positions; ++q) {
    for (int k = 0; k < positions; ++k) {
      INFO("q " << q << " k " << k);
      ir::Site site{.q = q, .k = k};
      REQUIRE(ir::attends(pattern.tree(), site, rows) == rule(q, k));
    }
  }
}

const std::set<std::string> listed = {"causal",   "window",  "band",         "prefix",    "sinks",
                                      "document", "chunked", "dilated",      "global",    "keep",
                                      "bucket",   "strided", "block_causal", "spans",     "ordered",
                                      "until",    "stripes", "blocks",       "neighbours"};

/// A tensor [batch, head, _, _] whose last two indices decide.
struct Table : ir::Bindings {
  std::vector<std::vector<int>> values;
  ir::Value param(std::uint32_t) const override { throw std::logic_error("no params here"); }
  ir::Value read(std::uint32_t, std::span<const std::int32_t> indices,
                 const ir::Site&) const override {
    return {values.at(indices[2]).at(indices[3]), 0};
  }
};

}  // namespace

TEST_CASE("named patterns: exactly those that are promised") {
  std::set<std::string> found;
  auto file = lang::parse_file("patterns.lac", lang::library_text(), lang::TextKind::library);
  for (const auto& def : file->defs) found.insert(def.name);
  CHECK(found == listed);
}

TEST_CASE("named patterns mean what their names say") {
  auto seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  Rows none;
  for (int i = 0; i < 20; ++i) {
    int w = draw.between(-2, 30), l = draw.between(-3, 9), r = draw.between(-3, 9);
    int c = draw.between(1, 9), d = draw.between(1, 5), n = draw.between(-1, 30);
    check_rule(
        "mask causal", none, [](int q, int k) { return k <= q; }, -9);
    check_rule(
        fmt::format("mask window({})", w), none, [=](int q, int k) { return q < k + w; }, -9);
    check_rule(
        fmt::format("mask band({}, {})", l, r), none,
        [=](int q, int k) { return k >= q - l && k <= q + r; }, -9);
    check_rule(
        fmt::format("mask prefix({})", n), none, [=](int, int k) { return k < n; }, -9);
    check_rule(
        fmt::format("mask sinks({})", n), none, [=](int, int k) { return k < n; }, -9);
    check_rule(
        fmt::format("mask chunked({})", c), none,
        [=](int q, int k) { return floored(q, c) == floored(k, c); }, -9);
    check_rule(
        fmt::format("mask dilated({}, {})", c, d), none,
        [=](int q, int k) {
          for (int step = 0; step < c; ++step) {
            if (k == q - step * d) return true;
          }
          return false;
        },
        -9);
    check_rule(
        fmt::format("mask strided({})", d), none,
        [=](int q, int k) {
          while (k < q) k += d;
          while (k > q) k -= d;
          return k == q;
        },
        -9);
    check_rule(
        fmt::format("mask block_causal({})", c), none,
        [=](int q, int k) { return k < (floored(q, c) + 1) * c; }, -9);
  }
}

TEST_CASE("neighbours: a window that moves in at the ends, of all places where there are fewer") {
  auto seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  Rows none;
  for (int i = 0; i < 20; ++i) {
    const int n = draw.between(1, positions), w = draw.between(1, 9);
    check_rule(
        fmt::format("mask neighbours(q, k, {}, {}) and q < {} and k < {}", n, w, n, n), none,
        [=](int q, int k) {
          if (q >= n || k >= n) return false;
          // The keys of q by how far the window has to move: the w nearest, to the left first where
          // w is even.
          std::vector<int> seen;
          for (int at = q - w / 2; static_cast<int>(seen.size()) < std::min(w, n); ++at) {
            if (at < 0) continue;
            if (at >= n) {
              seen.insert(seen.begin(), seen.front() - 1);
              continue;
            }
            seen.push_back(at);
          }
          return std::find(seen.begin(), seen.end(), k) != seen.end();
        },
        0);
  }
}

TEST_CASE("named patterns over tensors read the query's row and the key's") {
  auto seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int i = 0; i < 20; ++i) {
    Rows ids, flags;
    for (int tensor = 0; tensor < 2; ++tensor) {
      ids.values.emplace_back();
      flags.values.emplace_back();
      for (int row = 0; row < positions; ++row) {
        ids.values.back().push_back(draw.between(0, 4));
        flags.values.back().push_back(draw.between(0, 1));
      }
    }
    auto& id = ids.values;
    auto& flag = flags.values;
    const std::string pair = "tensor x: {}[batch, head, query]\ntensor y: {}[batch, head, key]\n";
    auto declared = [&](std::string_view type) {
      return fmt::format(fmt::runtime(pair), type, type);
    };
    check_rule(
        "tensor x: i32[batch, key]\nmask document(x)", ids,
        [&](int q, int k) { return id[0][q] == id[0][k]; }, 0);
    check_rule(
        "tensor x: bool[batch, key]\nmask global(x)", flags,
        [&](int q, int k) { return flag[0][q] || flag[0][k]; }, 0);
    check_rule(
        declared("bool") + "mask keep(x, y)", flags,
        [&](int q, int k) { return flag[0][q] && flag[1][k]; }, 0);
    check_rule(
        declared("i32") + "mask bucket(x, y)", ids,
        [&](int q, int k) { return id[0][q] == id[1][k]; }, 0);
    check_rule(
        "tensor x: i32[batch, key]\nmask spans(x)", ids,
        [&](int q, int k) { return id[0][q] > 0 && id[0][q] == id[0][k]; }, 0);
    check_rule(
        "tensor x: i32[batch, key]\nmask ordered(x)", ids,
        [&](int q, int k) { return !(id[0][k] > id[0][q]); }, 0);
    check_rule(
        "tensor x: i32[batch, head, key]\nmask until(x)", ids,
        [&](int q, int k) { return !(q >= id[0][k]); }, 0);
    check_rule(
        "tensor x: bool[batch, head, key]\ntensor y: bool[batch, head, _]\nmask causal\nmask "
        "stripes(x, y)",
        flags, [&](int q, int k) { return k <= q && (flag[0][k] || flag[1][q - k]); }, 0);
    Table table;
    for (int row = 0; row < positions; ++row) {
      table.values.emplace_back();
      for (int column = 0; column < positions; ++column)
        table.values.back().push_back(draw.between(0, 1));
    }
    const int c = draw.between(1, 9);
    check_rule(
        fmt::format("tensor t: bool[batch, head, _, _]\nmask blocks(t, {})", c), table,
        [&](int q, int k) { return table.values[floored(q, c)][floored(k, c)] != 0; }, 0);
  }
}

TEST_CASE("several masks are a conjunction, and `and` is lazy") {
  Rows rows;
  rows.values = {{1, 0, 1}};
  check_rule(
      "mask causal\nmask window(3)", rows, [](int q, int k) { return k <= q && q - k < 3; }, -9);
  check_rule(
      "tensor t: i32[key]\nmask k < 3 and t[k] > 0", rows,
      [](int, int k) { return k == 0 || k == 2; }, 0);
  check_rule(
      "tensor t: i32[key]\nmask k < 3\nmask t[k] > 0", rows,
      [](int, int k) { return k == 0 || k == 2; }, 0);
  check_rule(
      "tensor t: i32[key]\nmask where(k < 3, t[k], 7) > 0", rows, [](int, int k) { return k != 1; },
      0);
}
