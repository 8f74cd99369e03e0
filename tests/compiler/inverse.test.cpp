#include "compiler/plan/inverse.h"

#include "compiler/plan/explain.h"
#include "compiler/plan/plan.h"
#include "tests/catch.h"

#include <string>
#include <vector>

namespace {

using namespace lacuna;
using ir::Op;

Spec spec_of(const std::string& score, DType dtype = DType::bf16) {
  return {.pattern = Pattern::parse("attention test {\n  param x: f32\n  tensor gain: f32[head]\n"
                                    "  tensor cap: f32[batch, query]\n  tensor of: f32[key]\n"
                                    "  mask causal\n" +
                                        score + "\n  weights entmax(1.5)\n}\n",
                                    "test.lac"),
          .dtype = dtype};
}

std::vector<Op> ops_of(const std::string& score) {
  std::vector<Op> ops;
  for (const plan::InverseStep& step : plan::inverse_of(spec_of(score)).steps)
    ops.push_back(step.op);
  return ops;
}

}  // namespace

TEST_CASE("scores that rise with the product are a chain of steps, from their end back") {
  using Ops = std::vector<Op>;
  CHECK(ops_of("") == Ops{});
  CHECK(ops_of("score softcap(score, 30.0)") == Ops{Op::mul_f32, Op::tanh_f32, Op::div_f32});
  CHECK(ops_of("score x - (x - score)").empty());
  CHECK(ops_of("score 2.0 * score\nscore score - x") == Ops{Op::sub_f32, Op::mul_f32});
  CHECK(ops_of("score max(x, min(score / cap[b, q], gain[h])) + f32(q)") ==
        Ops{Op::add_f32, Op::max_f32, Op::min_f32, Op::div_f32});
}

TEST_CASE("scores that gates cannot pass through say which part of them it is") {
  struct Row {
    std::string score, why;
  };
  const Row rows[] = {
      {"score score - 0.5 * (q - k)", "depends on the key"},
      {"score score * of[k]", "'of[k]' depends on the key"},
      {"score where(k < 4, score, score + 1.0)", "has the score twice"},
      {"score score * score", "'score * score' has the score twice"},
      {"score score * -2.0", "'-2.0' is no positive factor"},
      {"score score * 0.0", "'0.0' is no positive factor"},
      {"score score / -2.0", "is no positive factor"},
      {"score x - score", "is no step that a gate passes back through"},
      {"score 1.0 / score", "is no step that a gate passes back through"},
      {"score -score", "is no step that a gate passes"},
      {"score floor(score)", "is no step that a gate passes"},
      {"score abs(score)", "is no step that a gate passes"},
      {"score exp(score)", "is no step that a gate passes"},
      {"score where(h < 2, score, 0.0)", "is no step that a gate passes"},
      {"score gain[h]", "'gain[h]' does not depend on the score"},
  };
  for (const Row& row : rows) {
    INFO(row.score);
    const Spec spec = spec_of(row.score);
    const plan::Inverse inverse = plan::inverse_of(spec);
    INFO(inverse.why_not);
    CHECK(inverse.steps.empty());
    CHECK(inverse.why_not.find(row.why) != std::string::npos);
    CHECK(!plan::inverts(spec));
  }
}

TEST_CASE("explain says which form the threshold takes") {
  const auto explained = [](const std::string& score, DType dtype = DType::bf16) {
    return plan::explain(plan::plan(spec_of(score, dtype), {.arch = {80}}));
  };
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(has(explained(""), "a row has a gate: sums of products begin with it"));
  CHECK(has(explained("score softcap(score, x)"), "a row's gate passes back through the score: "));
  CHECK(has(explained("score score + of[k]"),
            "scores are computed first, and compared with their row's gate: 'of[k]' depends on"));
  CHECK(has(explained("score softcap(score, x)", DType::f32), "first, and compared with their"));
  CHECK(!plan::inverts(spec_of("score softcap(score, x)", DType::f32)));
  CHECK(plan::inverts(spec_of("score softcap(score, x)", DType::f16)));
}
