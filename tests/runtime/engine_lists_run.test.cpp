// Lists of padded and packed sequences on the host device, which checks every read: which route a
// call took, what it computed beside the reference, and what it says of a read that leaves.
#include "tests/catch.h"
#include "tests/runtime/engine_layer.h"
#include "tests/runtime/random.h"

namespace {

using namespace lacuna;
using test::head_dim;
using test::Layer;

Spec spec_of(const std::string& masks, Lengths lengths) {
  return {.pattern = Pattern::parse("attention a {\ntensor doc: i32[batch, key]\n" + masks + "\n}"),
          .dtype = DType::f32,
          .head_dim = head_dim,
          .value_dim = head_dim,
          .lengths = lengths};
}

/// Whether a kernel of that pass was ever asked for.
bool has_run(const Program& program, std::size_t pass) {
  const ProgramState& state = program.state();
  for (const std::uint32_t aligned : {0u, 1u})
    if (state.engine->kernels.find(
            {state.planned->digest, static_cast<std::uint32_t>(pass), aligned}))
      return true;
  return false;
}
bool took_lists(const Program& program) {
  return has_run(program, program.state().planned->plan.passes.size() - 1);
}
bool took_plain(const Program& program) {
  return has_run(program, 0);
}

/// Lengths of 4 sequences of documents: a usual one, none, 1, and another.
std::vector<std::int32_t> lengths_of(std::mt19937& random) {
  const auto some = [&] { return static_cast<std::int32_t>(40 + random() % 90); };
  return {some(), 0, 1, some()};
}

/// Ids that come back: spans alone leave every tile open.
std::vector<std::int32_t> documents(std::size_t count, std::mt19937& random) {
  std::vector<std::int32_t> doc = test::ids(count, 25, random);
  for (std::int32_t& id : doc) id %= 5;
  return doc;
}

TensorView vector_of(std::vector<std::int32_t>& values) {
  return TensorView::contiguous(values.data(), DType::i32,
                                {static_cast<std::int64_t>(values.size())});
}

const std::string documents_alone = "mask document(doc)",
                  causal_documents = "mask causal\nmask doc[b, q] == doc[b, k]";

TEST_CASE("documents in padded sequences take lists where reads are checked") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto state = test::host_engine({});
  if (!state) return;
  for (const std::string& masks : {documents_alone, causal_documents}) {
    const Program program = Engine(state).program(spec_of(masks, Lengths::padded));
    std::vector<std::int32_t> lens = lengths_of(random), q_lens = lens;
    for (std::int32_t& length : q_lens) length = (length + 1) / 2;  // no more than there are keys
    Layer layer({4, 2, 1, 65, 130}, false, random);
    std::vector<std::int32_t> doc = documents(4 * 130, random);
    const NamedTensor tensor{"doc", TensorView::contiguous(doc.data(), DType::i32, {4, 130})};
    layer.args.tensors = {&tensor, 1};
    layer.args.q_lens = vector_of(q_lens);
    layer.args.k_lens = vector_of(lens);
    layer.check(program, layer.forward(program));
    CHECK(took_lists(program));
    CHECK(!took_plain(program));
    const Tiles tiles = program.tiles(layer.args);
    CHECK(layer.forward(program, &tiles) == layer.forward(program));
  }
}

TEST_CASE("documents in packed sequences take lists where reads are checked") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto state = test::host_engine({});
  if (!state) return;
  for (const std::string& masks : {documents_alone, causal_documents}) {
    const Program program = Engine(state).program(spec_of(masks, Lengths::packed));
    std::vector<std::int32_t> starts = {0};
    for (const std::int32_t length : lengths_of(random)) starts.push_back(starts.back() + length);
    const int total = starts.back();
    Layer layer({4, 2, 1, total, total}, true, random);
    std::vector<std::int32_t> doc = documents(static_cast<std::size_t>(total), random);
    const NamedTensor tensor{"doc", TensorView::contiguous(doc.data(), DType::i32, {1, total})};
    layer.args.tensors = {&tensor, 1};
    layer.args.cu_seqlens_q = layer.args.cu_seqlens_k = vector_of(starts);
    layer.check(program, layer.forward(program));
    CHECK(took_lists(program));
    CHECK(!took_plain(program));
  }
}

TEST_CASE("a mask by key-value head has a list for each group of heads") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto state = test::host_engine({.unchecked = true});
  if (!state) return;
  const Shape shape{2, 6, 3, 70, 130};
  for (const bool by_batch : {false, true}) {
    const std::string b = by_batch ? "b" : "0";
    const Spec spec{
        .pattern = Pattern::parse("attention a { tensor word: i32[" +
                                  std::string(by_batch ? "batch" : "_") + ", kv_head, key]\n" +
                                  "mask word[" + b + ", g, q] & word[" + b + ", g, k] != 0 }"),
        .dtype = DType::f32,
        .head_dim = head_dim,
        .value_dim = head_dim};
    const Program program = Engine(state).program(spec);
    Layer layer(shape, false, random);
    // Of random words no tile is FULL: the plain route takes the same steps in the same order.
    std::vector<std::int32_t> word(static_cast<std::size_t>((by_batch ? 2 : 1) * 3 * 130));
    for (std::int32_t& each : word) each = random() % 3 == 0 ? 0 : 1 << random() % 8;
    const NamedTensor tensor{
        "word", TensorView::contiguous(word.data(), DType::i32, {by_batch ? 2 : 1, 3, 130})};
    layer.args.tensors = {&tensor, 1};
    const std::vector<float> o = layer.forward(program);
    layer.check(program, o);
    CHECK(o == layer.forward_plain(program));
    const TileRows read = program.tiles(layer.args).read();
    CHECK(read.list_heads == 3);
    CHECK(read.list_batch == (by_batch ? 2 : 1));
  }
}

TEST_CASE("a read that leaves its sequence is reported as ever: by the plain route") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  const auto state = test::host_engine({});
  if (!state) return;
  const auto error_of = [](const auto& run) -> std::string {
    try {
      run();
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::argument);
      return error.what();
    }
    return "nothing was thrown";
  };
  const Program packed = Engine(state).program(spec_of(documents_alone, Lengths::packed));
  // 50 queries at the end of 20 keys begin at -30; of 70 keys, in the middle of them.
  std::vector<std::int32_t> q_starts = {0, 40, 90}, k_starts = {0, 70, 90};
  Layer layer({2, 1, 1, 90, 90}, true, random);
  std::vector<std::int32_t> doc = documents(90, random);
  const NamedTensor tensor{"doc", TensorView::contiguous(doc.data(), DType::i32, {1, 90})};
  layer.args.tensors = {&tensor, 1};
  layer.args.cu_seqlens_q = vector_of(q_starts);
  layer.args.cu_seqlens_k = vector_of(k_starts);
  const std::string said = error_of([&] { layer.forward(packed); });
  INFO(said);
  CHECK(said.starts_with("tensor 'doc': axis key: index -"));
  CHECK(said.find("is outside 0..19, read at b=1 h=0 q=-") != std::string::npos);
  CHECK(!took_lists(packed));
  CHECK(took_plain(packed));
  CHECK(error_of([&] { packed.tiles(layer.args); }).find("is not proved to read inside") !=
        std::string::npos);

  // By offsets, of which one is wrong, and then none.
  std::vector<std::int32_t> offsets = {30, -30};
  layer.args.offsets = vector_of(offsets);
  CHECK(error_of([&] { layer.forward(packed); }).starts_with("tensor 'doc': axis key: index -"));
  q_starts = {0, 70, 90};
  offsets = {0, 0};
  layer.check(packed, layer.forward(packed));
  CHECK(took_lists(packed));
}

}  // namespace
