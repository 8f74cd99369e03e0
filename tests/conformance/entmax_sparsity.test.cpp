// What a call of entmax says it found: supports, lists of live keys and tiles, over random calls.
#include "compiler/ir/element.h"
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/conformance/sparsity.h"
#include "tests/conformance/weights.h"

namespace {

using namespace lacuna;

const std::vector<std::string> bodies = {
    "",
    "mask causal",
    "mask causal\nmask window(60)",
    "tensor id: i32[batch, key]\nmask id[b, k] % 3 != 1 or k == 0",
    "tensor see: bool[query, key]\nmask see[q, k]",
    "tensor dq: i32[query]\ntensor dk: i32[key]\nmask dq[q] == dk[k] or k < 2",
    "mask causal\nscore softcap(score, 4.0)",
    "tensor gain: f32[head]\nscore tanh(score * (abs(gain[h]) + 0.5)) * 6.0 - 1.0",
    "tensor slope: f32[head]\nscore score - abs(slope[h]) * f32(abs(q - k)) / 64.0",
};

std::vector<double> values(const TensorView& view) {
  std::vector<double> all;
  for (std::int64_t flat = 0; flat < view.elements(); ++flat) {
    std::int64_t rest = flat, offset = 0;
    for (int axis = view.rank; axis-- > 0; rest /= view.shape[axis])
      offset += rest % view.shape[axis] * view.strides[axis];
    all.push_back(ir::load_real(view.dtype, view.data, offset));
  }
  return all;
}

/// Runs a call with sparsity and without: the results are the same bits, unless queries are so few,
/// or rows so short, that without it other passes run.
std::string run(EngineState& engine, Spec spec, fuzz::OwnedCall& call, tests::ListedKeys& lists) {
  tests::run(engine, spec, call);
  const auto o = values(call.args.o), gap = values(call.args.gap);
  const plan::Route route = plan::route(runtime::planned_for(engine, spec)->plan, call.shape);
  spec.sparsity = true;
  const Program program =
      Engine(std::shared_ptr<EngineState>(&engine, [](EngineState*) {})).program(spec);
  const Sparsity sparsity = program.sparsity(call.shape);
  call.args.sparsity = &sparsity;
  tests::run(engine, spec, call);
  call.args.sparsity = nullptr;
  if (!route.decode && !route.short_rows &&
      (o != values(call.args.o) || gap != values(call.args.gap)))
    return "results differ";
  const SparsityRows found = sparsity.read();
  return tests::wrong_sparsity(runtime::planned_for(engine, spec)->plan, call, found, lists);
}

struct Extent {
  std::int64_t queries, keys;
  float scale;  ///< 0: as usual
};

}  // namespace

TEST_CASE("sparsity: supports, live keys and live tiles are those of the reference's scores") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  tests::ListedKeys lists;
  for (const std::string& body : bodies)
    for (const std::string& weights : tests::weights) {
      if (weights.find("softmax") != weights.npos) continue;
      if (!tests::runs_all() && draw.below(4) != 0) continue;
      const DType dtype = draw.of({DType::f32, DType::f16, DType::bf16});
      // Flat rows have more candidates than lists hold.
      const Extent any = draw.of({Extent{70, 150, 0}, Extent{1, 90, 0}, Extent{33, 1, 0},
                                   Extent{66, 600, 0}, Extent{30, 700, 0.02f}});
      // Enough keys with a weight to count those listed against.
      const Extent extent = lists.weighed > 1000 ? any : Extent{66, 600, 0};
      Spec spec{.pattern = tests::weighed(body, weights),
                .dtype = dtype,
                .head_dim = 16,
                .value_dim = 16,
                .output = DType::f32,
                .statistic = true,
                .escort = draw.chance(0.3),
                .lengths = draw.of({Lengths::uniform, Lengths::padded, Lengths::packed})};
      const Shape shape{.batch = draw.between(1, 2),
                        .heads = 4,
                        .kv_heads = draw.of({2, 4}),
                        .queries = extent.queries,
                        .keys = extent.keys};
      fuzz::OwnedCall call = fuzz::random_call(random, spec, shape);
      if (extent.scale > 0) call.args.scale = extent.scale;
      std::vector<float> alphas;
      tests::give_alpha(call, draw, alphas);
      const tests::TestEngine& engine = draw.of(tests::engines());
      std::string notes;
      for (const std::string& note : call.notes) notes += note + "\n";
      INFO(engine.name << "\n"
                       << spec.pattern.text() << name_of(dtype) << " batch " << shape.batch
                       << " Nq " << extent.queries << " Nk " << extent.keys << "\n"
                       << notes);
      try {
        CHECK(run(*engine.state, spec, call, lists) == "");
      } catch (const Error& error) {
        FAIL_CHECK(error.what() << "\n" << error.log());
      }
    }
  UNSCOPED_INFO("listed " << lists.listed << " of " << lists.weighed
                          << " keys with a weight; dense " << lists.of_dense << " of "
                          << lists.weighed_of_dense);
  CHECK(lists.weighed > 1000);
  CHECK(static_cast<double>(lists.listed) <= 1.01 * static_cast<double>(lists.weighed));
  CHECK(static_cast<double>(lists.of_dense) <= 1.02 * static_cast<double>(lists.weighed_of_dense));
}
