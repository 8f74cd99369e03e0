// Classification of tiles as generated code against the host's, bit for bit: many random programs
// in one kernel, a thread per box.
#include "compiler/plan/classify.h"

#include "compiler/codegen/intervals.h"
#include "compiler/ir/bindings.h"
#include "compiler/plan/conjunct.h"
#include "templates/abi.h"
#include "tests/catch.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <optional>

namespace {

using namespace lacuna;

constexpr int kernels = 4, programs_in_one = 30, boxes = 64;
constexpr int max_params = 8, max_tensors = 5, max_values = 6;
constexpr int words = 1 + 4 * max_values;  // of a box: its Truth, then the spans of both summaries

/// What the test's kernel is launched with.
struct Launch {
  CallArg call;
  std::uint32_t param[max_params];
  TensorArg tensor[max_tensors];
  std::uint64_t boxes, out;
  std::int32_t place[8], program, pad;
};

struct RandomProgram {
  Spec spec;
  std::vector<ir::NodeId> conjuncts;
  plan::SpanProgram spans;
};

std::vector<RandomProgram> random_programs(fuzz::Random& random) {
  fuzz::Draw draw(random);
  std::vector<RandomProgram> programs;
  while (programs.size() < programs_in_one) {
    RandomProgram p{.spec = {.pattern = fuzz::published(
                                 fuzz::random_pattern(random, {.score = false, .weights = false}))},
                    .conjuncts = {},
                    .spans = {}};
    p.spec.head_dim = p.spec.value_dim = 64;
    p.spec.lengths = draw.of({Lengths::uniform, Lengths::padded, Lengths::packed});
    p.spec.storage = fuzz::random_storage(random, p.spec.pattern.tree());
    for (const plan::Conjunct& c : plan::conjuncts_of(p.spec.pattern.tree()))
      p.conjuncts.push_back(c.expr);
    p.spans = plan::span_program(p.spec.pattern.tree(), p.conjuncts);
    if (p.conjuncts.empty() || p.spans.query_values.size() > max_values ||
        p.spans.key_values.size() > max_values)
      continue;
    programs.push_back(std::move(p));
  }
  return programs;
}

codegen::Source source_of(const std::vector<RandomProgram>& programs) {
  std::string patterns, cases;
  for (std::size_t i = 0; i < programs.size(); ++i) {
    patterns += fmt::format("struct Pattern{} {{\n", i);
    for (const std::string& line :
         codegen::interval_members(programs[i].spec, programs[i].conjuncts))
      patterns += line + "\n";
    patterns += "};\n";
    cases += fmt::format("    case {0}: check<Pattern{0}>(l); break;\n", i);
  }
  codegen::Source source{.name = "classify.cu",
                         .entry = "classify",
                         .text = {},
                         .threads = 32,
                         .shared_bytes = 0,
                         .param_bytes = sizeof(Launch)};
  source.text = fmt::format(R"(#include "box_read.cuh"
namespace lacuna {{
struct Params {{ CallArg call; u32 param[{}]; TensorArg tensor[{}]; }};
struct Launch {{ Params p; u64 boxes, out; Place at; s32 program, pad; }};
static_assert(sizeof(Launch) == {}, "as the test packs it");
{}
template <class Pattern>
LACUNA_DEVICE void check(const Launch& l) {{
  const u32 t = block_index() * 32 + thread_index();
  const u64 from = l.boxes + t * 16, to = l.out + t * {};
  const Box box = {{load_global<s32>(from), load_global<s32>(from + 4), load_global<s32>(from + 8), load_global<s32>(from + 12)}};
  constexpr int n = max_of(Pattern::query_values, 1), m = max_of(Pattern::key_values, 1);
  U2 q[n] = {{}}, k[m] = {{}}, with_q[n] = {{}}, with_k[m] = {{}};
  Pattern::query_at(l.p, l.at, box.q0, q);
  for (s32 i = box.q0 + 1; i <= box.q1; ++i) {{
    Pattern::query_at(l.p, l.at, i, with_q);
    Pattern::query_hull(q, with_q);
  }}
  Pattern::key_at(l.p, l.at, box.k0, k);
  for (s32 i = box.k0 + 1; i <= box.k1; ++i) {{
    Pattern::key_at(l.p, l.at, i, with_k);
    Pattern::key_hull(k, with_k);
  }}
  store_global(to, (u32)Pattern::classify(l.p, l.at, box, q, k));
  LACUNA_UNROLL
  for (int i = 0; i < Pattern::query_values; ++i) store_global(to + 4 + 8 * i, q[i].x), store_global(to + 8 + 8 * i, q[i].y);
  LACUNA_UNROLL
  for (int i = 0; i < Pattern::key_values; ++i) store_global(to + {} + 8 * i, k[i].x), store_global(to + {} + 8 * i, k[i].y);
}}
}}  // namespace lacuna
LACUNA_KERNEL void LACUNA_BOUNDS(32, 1) classify(LACUNA_GRID_CONST lacuna::Launch l) {{
  using namespace lacuna;
  switch (l.program) {{
{}  }}
}}
)",
                            max_params, max_tensors, sizeof(Launch), patterns, words * 4,
                            4 + 8 * max_values, 8 + 8 * max_values, cases);
  return source;
}

/// Memory of a device for one launch, and the launch's regions.
class Memory {
 public:
  explicit Memory(const runtime::Device& device) : device_(device) {}
  Memory(const Memory&) = delete;
  ~Memory() {
    for (void* one : held_) device_.release(one);
  }
  /// The address; the region stands at that byte of the parameter block.
  std::uint64_t add(std::string_view name, std::size_t byte, const void* from, TensorView view,
                    bool writable = false) {
    const std::size_t bytes = view.elements() * size_of(view.dtype);
    void* memory = held_.emplace_back(device_.allocate(bytes));
    device_.upload(memory, from, bytes);
    view.data = memory;
    slots.push_back({static_cast<std::uint32_t>(byte), static_cast<std::uint32_t>(regions.size())});
    regions.push_back({name, view, writable});
    return reinterpret_cast<std::uint64_t>(memory);
  }

  std::vector<runtime::AddressSlot> slots;
  std::vector<runtime::Region> regions;

 private:
  const runtime::Device& device_;
  std::vector<void*> held_;
};

/// The elements of a view, one behind the other.
std::vector<std::byte> packed(const TensorView& view) {
  std::vector<std::byte> bytes;
  std::vector<std::int64_t> at(static_cast<std::size_t>(view.rank), 0);
  for (std::int64_t left = view.elements(); left > 0; --left) {
    std::int64_t offset = 0;
    for (std::size_t axis = 0; axis < at.size(); ++axis) offset += at[axis] * view.strides[axis];
    const auto* from = static_cast<const std::byte*>(view.data) + offset * size_of(view.dtype);
    bytes.insert(bytes.end(), from, from + size_of(view.dtype));
    for (std::size_t axis = at.size(); axis-- > 0;) {
      if (++at[axis] < view.shape[axis]) break;
      at[axis] = 0;
    }
  }
  return bytes;
}

TensorArg argument(const TensorView& view) {
  TensorArg arg{};
  for (int axis = 0; axis < max_rank; ++axis) {
    const bool used = axis < view.rank;
    arg.stride[axis] = used && view.shape[axis] > 1 ? view.strides[axis] : 0;
    arg.extent[axis] = used ? static_cast<int>(view.shape[axis]) : 1;
  }
  return arg;
}

/// One program, called with random tensors, in one head.
class Comparison {
 public:
  Comparison(fuzz::Random& random, const RandomProgram& program)
      : program_(program),
        pattern_(program.spec.pattern.tree()),
        draw_(random),
        shape_(random_shape()),
        owned_(fuzz::random_call(random, program.spec, shape_)),
        call_(ir::bind(program.spec, owned_.args)),
        sequences_(ir::sequences_of(program.spec, owned_.args, call_)),
        bindings_(pattern_, call_, sequences_, program.spec.lengths == Lengths::packed) {
    const int b = draw_.below(static_cast<int>(shape_.batch)),
              h = draw_.below(static_cast<int>(shape_.heads));
    sequence_ = sequences_[static_cast<std::size_t>(b)];
    const auto i32 = [](std::int64_t x) { return static_cast<std::int32_t>(x); };
    site_ = {.b = b,
             .h = h,
             .g = h / i32(shape_.heads / shape_.kv_heads),
             .q_len = i32(sequence_.q_len),
             .k_len = i32(sequence_.k_len),
             .batch = i32(shape_.batch),
             .heads = i32(shape_.heads),
             .kv_heads = i32(shape_.kv_heads),
             .head_dim = program.spec.head_dim};
  }

  /// A sequence without queries or keys has no tiles.
  bool has_boxes() const { return site_.q_len > 0 && site_.k_len > 0; }

  /// "" or the first box that differs.
  std::string run(const runtime::Device& device, const runtime::Kernel& kernel, int number) {
    std::vector<plan::Box> given;
    for (int i = 0; i < boxes; ++i) given.push_back(random_box());
    std::vector<std::uint32_t> found(std::size_t{boxes} * words, 0xdeadbeef);
    Memory memory(device);
    const Launch launch = prepare(memory, number, given, found);
    kernel.launch(
        {boxes / 32, std::as_bytes(std::span(&launch, 1)), memory.slots, memory.regions, {}});
    device.synchronize({});
    device.download(found.data(), memory.regions[1].view.data, found.size() * 4);
    plan::Classifier classifier(pattern_, program_.spans, site_, bindings_);
    for (int i = 0; i < boxes; ++i)
      if (const std::string wrong = difference(classifier, given[i], &found[i * words]);
          wrong != "")
        return wrong;
    for (int i = 0; i < boxes; ++i) ++seen[found[i * words]];
    return "";
  }

  std::array<int, 3> seen{};  ///< boxes of each truth

  std::string notes() const {
    return fmt::format("{}\n{}b={} h={} q_len={} k_len={} offset={}", program_.spec.pattern.text(),
                       fuzz::describe(pattern_), site_.b, site_.h, site_.q_len, site_.k_len,
                       sequence_.offset);
  }

 private:
  Shape random_shape() {
    Shape shape;
    shape.batch = draw_.between(1, 3);
    shape.kv_heads = draw_.between(1, 2);
    shape.heads = shape.kv_heads * draw_.between(1, 2);
    shape.queries = draw_.between(1, 90);
    shape.keys = draw_.between(1, 90);
    return shape;
  }

  plan::Box random_box() {
    const auto range = [&](std::int32_t extent) {
      const int first = draw_.below(extent);
      const int count = draw_.chance(0.3) ? 1 : draw_.between(1, 40);
      return std::pair(first, std::min(first + count, extent) - 1);
    };
    const auto [q0, q1] = range(site_.q_len);
    const auto [k0, k1] = range(site_.k_len);
    return {q0 + sequence_.offset, q1 + sequence_.offset, k0, k1};
  }

  Launch prepare(Memory& memory, int number, const std::vector<plan::Box>& given,
                 const std::vector<std::uint32_t>& found) {
    const auto i32 = [](std::int64_t x) { return static_cast<std::int32_t>(x); };
    Launch launch{};
    launch.call.batch = site_.batch, launch.call.heads = site_.heads;
    launch.call.kv_heads = site_.kv_heads;
    launch.call.queries = i32(shape_.queries), launch.call.keys = i32(shape_.keys);
    std::copy(call_.params.begin(), call_.params.end(), launch.param);
    launch.boxes = memory.add("boxes", offsetof(Launch, boxes), given.data(),
                              TensorView::contiguous(nullptr, DType::i32, {boxes, 4}));
    launch.out = memory.add("out", offsetof(Launch, out), found.data(),
                            TensorView::contiguous(nullptr, DType::i32, {boxes, words}), true);
    for (std::size_t i = 0; i < call_.tensors.size(); ++i) {
      const TensorView& view = call_.tensors[i];
      TensorView flat = TensorView::contiguous(nullptr, view.dtype, {1});
      flat.rank = view.rank;
      std::int64_t stride = 1;
      for (int axis = view.rank - 1; axis >= 0; --axis) {
        flat.shape[axis] = view.shape[axis];
        flat.strides[axis] = stride;
        stride *= view.shape[axis];
      }
      launch.tensor[i] = argument(flat);
      const std::size_t byte = offsetof(Launch, tensor) + i * sizeof(TensorArg);
      launch.tensor[i].data = memory.add(pattern_.tensors[i].name, byte, packed(view).data(), flat);
    }
    const bool is_packed = program_.spec.lengths == Lengths::packed;
    const std::int32_t place[] = {site_.b,
                                  site_.h,
                                  site_.g,
                                  site_.q_len,
                                  site_.k_len,
                                  is_packed ? i32(sequence_.q_start) : 0,
                                  is_packed ? i32(sequence_.k_start) : 0,
                                  sequence_.offset};
    std::copy(std::begin(place), std::end(place), launch.place);
    launch.program = number;
    return launch;
  }

  std::string difference(plan::Classifier& classifier, const plan::Box& box,
                         const std::uint32_t* found) const {
    const plan::Summary q = classifier.queries(box.q0, box.q1), k = classifier.keys(box.k0, box.k1);
    const auto expected = static_cast<std::uint32_t>(classifier.classify(box, q, k));
    const std::string at = fmt::format("q {}..{}, k {}..{}: ", box.q0, box.q1, box.k0, box.k1);
    const auto differs = [&](const plan::Summary& summary, int first) {
      for (std::size_t i = 0; i < summary.size(); ++i)
        if (summary[i].x != found[first + 2 * i] || summary[i].y != found[first + 2 * i + 1])
          return fmt::format("{}span {} is {:#x} {:#x}, on the host {:#x} {:#x}", at, i,
                             found[first + 2 * i], found[first + 2 * i + 1], summary[i].x,
                             summary[i].y);
      return std::string();
    };
    if (const std::string wrong = differs(q, 1); wrong != "") return "query " + wrong;
    if (const std::string wrong = differs(k, 1 + 2 * max_values); wrong != "")
      return "key " + wrong;
    if (expected == found[0]) return "";
    return fmt::format("{}truth is {}, on the host {}", at, found[0], expected);
  }

  const RandomProgram& program_;
  const ir::Pattern& pattern_;
  fuzz::Draw draw_;
  Shape shape_;
  fuzz::OwnedCall owned_;
  ir::Call call_;
  std::vector<ir::Sequence> sequences_;
  ir::CallBindings bindings_;
  ir::Sequence sequence_{};
  ir::Site site_;
};

}  // namespace

TEST_CASE("generated code classifies the boxes of random programs as the host does") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  const std::vector<tests::TestEngine>& engines = tests::engines();
  std::array<int, 3> seen{};
  for (int number = 0; number < kernels; ++number) {
    const tests::TestEngine& engine = engines[number % engines.size()];
    const runtime::Device& device = *engine.state->device;
    const std::vector<RandomProgram> programs = random_programs(random);
    const auto kernel = device.load(engine.state->compiler->compile(
        source_of(programs), runtime::compile_options(*engine.state)));
    for (int i = 0; i < programs_in_one; ++i) {
      std::optional<Comparison> drawn;
      do drawn.emplace(random, programs[i]);
      while (!drawn->has_boxes());
      Comparison& comparison = *drawn;
      INFO(engine.name << ", kernel " << number << ", program " << i << "\n" << comparison.notes());
      CHECK(comparison.run(device, *kernel, i) == "");
      for (std::size_t truth = 0; truth < seen.size(); ++truth)
        seen[truth] += comparison.seen[truth];
    }
  }
  // Agreement on `some` alone would prove little.
  CAPTURE(seen[0], seen[1], seen[2]);
  for (const int count : seen) CHECK(count > 100);
}
