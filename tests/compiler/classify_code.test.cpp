// The device's classification as text, and which conjuncts it decides.
#include "compiler/codegen/intervals.h"
#include "compiler/plan/conjunct.h"
#include "compiler/plan/decided.h"
#include "tests/catch.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace {

using namespace lacuna;

const char* const members = R"(
attention classified {
  param  reach: i32
  tensor doc:   i32[batch, key]
  tensor slope: f32[head]
  tensor far:   f32[batch, key]
  tensor table: bool[head, _, _]
  mask   causal
  mask   -reach <= q - k <= 3 * reach + h or table[h, q // 64, k // 64]
  mask   doc[b, q] == doc[b, k] and (q - k) % 4 == 1
  mask   far[b, k] * slope[h] < f32(q)
}
)";

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

plan::Decision decision(const std::string& mask) {
  const Pattern pattern = Pattern::parse(
      "attention a {\n  param n: i32\n  tensor id: i32[batch, key]\n  tensor t: bool[_, _]\n"
      "  tensor w: bool[_]\n  mask " +
      mask + "\n}\n");
  std::vector<ir::NodeId> conjuncts;
  for (const plan::Conjunct& c : plan::conjuncts_of(pattern.tree())) conjuncts.push_back(c.expr);
  return plan::decided_by_spans(pattern.tree(), conjuncts);
}

}  // namespace

TEST_CASE("the members that classify tiles are as recorded") {
  Spec spec{.pattern = Pattern::parse(members, "golden.lac"), .lengths = Lengths::packed};
  spec.head_dim = spec.value_dim = 64;
  std::string text = "struct Pattern {\n";
  for (const std::string& line : codegen::interval_members(plan::plan(spec, {.arch = {80}})))
    text += line + "\n";
  text += "};\n";
  const std::string file = "tests/golden/classify_members.txt";
  if (std::getenv("LACUNA_UPDATE_GOLDEN")) std::ofstream(file) << text;
  CHECK(text == read_file(file));
}

TEST_CASE("what spans decide, and why not") {
  for (const char* mask :
       {"k <= q", "-n <= q - k <= n", "q // 64 == k // 64", "q // n == k // n", "(q - k) % n == 2",
        "0 <= q - k < 7 * n and (q - k) % n == 0", "id[b, q] <= id[b, k]", "id[b, q] < n or k < 4",
        "(id[b, q] == 3) == (id[b, k] == 3)", "band(n, n) or w[b] and k <= q or h == 1",
        "t[q // 64, k // 64]", "t[q // 16, k // 16] or causal", "not (q // 3 < k // 5)",
        "where(h == 0, k < 4, q - k < n)", "f32(q) / 3.0 < f32(k)"}) {
    INFO(mask);
    CHECK(decision(mask).decided);
  }
  const std::pair<const char*, const char*> open[] = {
      {"t[q, k]", "'t[q, k]' may read more than 64 elements in a tile"},
      {"w[q - k]", "'w[q - k]' may read more than 64 elements in a tile"},
      {"t[(q + k) // 64, k // 64]", "the indices of 't[(q + k) // 64, k // 64]' move together"},
      {"q * k == n", "a side of 'n == q * k' takes values with gaps between them"},
      {"q * k % 7 < k", "both sides of 'q * k % 7 < k' depend on the same position"},
      {"id[b, q] & id[b, k] != 0",
       "a side of 'id[b, q] & id[b, k] != 0' takes values with gaps between them"},
      {"q % 4 - k % 4 < 2 and 0 < q % 4 - k % 4",
       "'q % 4 - k % 4' takes values with gaps between them"},
  };
  for (const char* mask : {"id[b, q] == id[b, k]", "id[b, q] == id[b, k] or k < 4"}) {
    INFO(mask);
    CHECK_FALSE(decision(mask).decided);
    CHECK(decision(mask).by_data);
    CHECK(decision(mask).why == "rows of one value need not lie together");
  }
  for (const auto& [mask, why] : open) {
    INFO(mask);
    CHECK_FALSE(decision(mask).decided);
    CHECK_FALSE(decision(mask).by_data);
    CHECK(decision(mask).why == why);
  }
}
