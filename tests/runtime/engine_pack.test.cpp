#include "runtime/program.h"
#include "tests/catch.h"
#include "tests/runtime/engine_fakes.h"
#include "tests/runtime/random.h"

#include <bit>

namespace {

using namespace lacuna;
using test::FakeEngine;

/// One allocation in which every view of a call has its place, at random strides.
class RandomCall {
 public:
  explicit RandomCall(unsigned seed) : random_(seed), memory_(4 << 20) {
    shape = {range(1, 3), 2 * range(1, 2), 2, range(1, 40), range(1, 40)};
    args.q = view(DType::bf16, {shape.batch, shape.heads, shape.queries, 16}, true);
    args.k = view(DType::bf16, {shape.batch, shape.kv_heads, shape.keys, 16}, true);
    args.v = view(DType::bf16, {shape.batch, shape.kv_heads, shape.keys, 24}, true);
    args.o = view(DType::bf16, {shape.batch, shape.heads, shape.queries, 24}, true);
    args.lse = view(DType::f32, {shape.batch, shape.heads, shape.queries}, false);
  }

  std::int64_t range(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  /// Axes in a random order of memory, with gaps; the last contiguous where asked.
  TensorView view(DType dtype, std::vector<std::int64_t> extents, bool dense_last) {
    TensorView view{nullptr, dtype, static_cast<int>(extents.size()), {}, {}};
    std::vector<int> order(extents.size());
    for (int i = 0; i < view.rank; ++i) order[i] = i;
    std::shuffle(order.begin(), order.end() - dense_last, random_);
    std::int64_t stride = 1;
    for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
      view.shape[*axis] = extents[*axis];
      view.strides[*axis] = stride;
      stride *=
          extents[*axis] + (dense_last && *axis == view.rank - 1 ? range(0, 2) * 4 : range(0, 2));
    }
    used_ = (used_ + 15) / 16 * 16 + (range(0, 3) == 0) * size_of(dtype);
    view.data = memory_.data() + used_;
    used_ += stride * size_of(dtype);
    REQUIRE(used_ <= static_cast<std::int64_t>(memory_.size()));
    return view;
  }

  Shape shape;
  Args args;

 private:
  std::mt19937 random_;
  std::vector<std::byte> memory_;
  std::int64_t used_ = 0;
};

unsigned long long address(const TensorView& view) {
  return reinterpret_cast<unsigned long long>(view.data);
}

void check_matrix(const MatrixArg& packed, const TensorView& view) {
  CHECK(packed.data == address(view));
  CHECK(packed.batch == view.strides[0]);
  CHECK(packed.head == view.strides[1]);
  CHECK(packed.row == view.strides[2]);
}

void check_region(const test::Launched& launch, std::string_view name, const TensorView& view,
                  std::size_t byte, bool writable) {
  INFO("region " << name);
  const runtime::Region* region = launch.region(name);
  REQUIRE(region);
  CHECK(region->view.data == view.data);
  CHECK(region->view.shape == view.shape);
  CHECK(region->view.strides == view.strides);
  CHECK(region->view.dtype == view.dtype);
  CHECK(region->writable == writable);
  CHECK(launch.at<unsigned long long>(byte) == address(view));
  int slots = 0;
  for (const runtime::AddressSlot& slot : launch.slots) {
    if (slot.byte != byte) continue;
    ++slots;
    CHECK(&launch.regions[slot.region] == region);
  }
  CHECK(slots == 1);
}

const char* text = R"(attention packed {
  param  reach: i32 = 11
  param  slope: f32
  param  wide: bool = true
  tensor doc:  i32[batch, key]
  tensor bias: f32[head, _]
  tensor on:   bool[]
  mask   wide or k <= q and on[] plan elements
  mask   doc[b, k] < reach plan elements
  score  score + slope * bias[h, k % 3]
})";

TEST_CASE("the parameter block holds every argument where templates/abi.h says") {
  unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  RandomCall call(seed);
  Spec spec{.pattern = Pattern::parse(text),
            .dtype = DType::bf16,
            .head_dim = 16,
            .value_dim = 24,
            .statistic = true,
            .lengths = Lengths::padded};
  spec.storage["doc"] = DType::i16;
  std::vector<NamedTensor> tensors = {
      {"on", call.view(DType::u8, {}, false)},
      {"doc", call.view(DType::i16, {call.shape.batch, call.shape.keys}, false)},
      {"bias", call.view(DType::f32, {call.shape.heads, 3}, false)}};
  *static_cast<std::uint8_t*>(tensors[0].view.data) = 1;
  std::vector<NamedValue> params = {{"slope", 0.25f}, {"reach", -5}};
  call.args.tensors = tensors;
  call.args.params = params;
  call.args.scale = 3.5f;
  call.args.k_lens = call.view(DType::i32, {call.shape.batch}, false);
  call.args.offsets = call.view(DType::i32, {call.shape.batch}, false);

  FakeEngine fake;
  Program program = fake.engine.program(spec);
  program.forward(call.args);
  REQUIRE(fake.device->launches.size() == 1);
  const test::Launched& launch = fake.device->launches[0];
  const codegen::ParamLayout& layout = program.state().planned->layout;
  REQUIRE(launch.params.size() == static_cast<std::size_t>(layout.bytes));

  CallArg arg = launch.call();
  check_matrix(arg.q, call.args.q);
  check_matrix(arg.k, call.args.k);
  check_matrix(arg.v, call.args.v);
  check_matrix(arg.o, call.args.o);
  check_matrix(arg.lse, call.args.lse);
  CHECK(arg.k_lens.data == address(call.args.k_lens));
  CHECK(arg.k_lens.stride == call.args.k_lens.strides[0]);
  CHECK(arg.offsets.data == address(call.args.offsets));
  CHECK(arg.q_lens.data == 0);
  CHECK(arg.report == 0);
  CHECK(arg.batch == call.shape.batch);
  CHECK(arg.heads == call.shape.heads);
  CHECK(arg.kv_heads == call.shape.kv_heads);
  CHECK(arg.queries == call.shape.queries);
  CHECK(arg.keys == call.shape.keys);
  CHECK(arg.scale == 3.5f);
  CHECK(arg.has_offset == 0);
  const plan::Plan& plan = program.state().planned->plan;
  plan::Grid grid = plan::grid(plan.passes[0], spec, call.shape);
  CHECK(arg.q_tiles == grid.q_tiles);
  CHECK(launch.blocks == grid.blocks);

  std::size_t at = static_cast<std::size_t>(layout.params_at);
  CHECK(launch.at<std::int32_t>(at) == -5);
  CHECK(launch.at<float>(at + 4) == 0.25f);
  CHECK(launch.at<std::uint32_t>(at + 8) == 1);

  check_region(launch, "q", call.args.q, offsetof(CallArg, q.data), false);
  check_region(launch, "k", call.args.k, offsetof(CallArg, k.data), false);
  check_region(launch, "v", call.args.v, offsetof(CallArg, v.data), false);
  check_region(launch, "o", call.args.o, offsetof(CallArg, o.data), true);
  check_region(launch, "lse", call.args.lse, offsetof(CallArg, lse.data), true);
  check_region(launch, "k_lens", call.args.k_lens, offsetof(CallArg, k_lens.data), false);
  check_region(launch, "offsets", call.args.offsets, offsetof(CallArg, offsets.data), false);
  const TensorView in_order[] = {tensors[1].view, tensors[2].view, tensors[0].view};
  const std::string_view names[] = {"doc", "bias", "on"};
  for (std::size_t i = 0; i < 3; ++i) {
    std::size_t byte = static_cast<std::size_t>(layout.tensors_at) + i * sizeof(TensorArg);
    check_region(launch, names[i], in_order[i], byte + offsetof(TensorArg, data), false);
    TensorArg tensor = launch.at<TensorArg>(byte);
    for (int axis = 0; axis < max_rank; ++axis) {
      bool used = axis < in_order[i].rank;
      CHECK(tensor.extent[axis] == (used ? in_order[i].shape[axis] : 1));
      // An axis of extent 1 stands for every index.
      bool steps = used && in_order[i].shape[axis] > 1;
      CHECK(tensor.stride[axis] == (steps ? in_order[i].strides[axis] : 0));
    }
  }
  CHECK(launch.regions.size() == 10);
  CHECK(launch.slots.size() == 10);
}

TEST_CASE("packed sequences hand over their starts, and the batch counts sequences") {
  FakeEngine fake;
  RandomCall call(test::fresh_seed());
  Spec spec{.pattern = Pattern::parse("attention a { mask causal }"),
            .dtype = DType::bf16,
            .head_dim = 16,
            .value_dim = 24,
            .lengths = Lengths::packed};
  for (TensorView* view : {&call.args.q, &call.args.k, &call.args.v, &call.args.o}) {
    view->shape[0] = 1;
  }
  call.args.lse = {};
  call.args.cu_seqlens_q = call.view(DType::i32, {5}, false);
  call.args.cu_seqlens_k = call.view(DType::i32, {5}, false);
  call.args.offset = -3;
  fake.engine.program(spec).forward(call.args);
  const test::Launched& launch = fake.device->launches.at(0);
  CHECK(launch.call().batch == 4);
  CHECK(launch.call().has_offset == 1);
  CHECK(launch.call().offset == -3);
  check_region(launch, "cu_seqlens_q", call.args.cu_seqlens_q, offsetof(CallArg, q_lens.data),
               false);
  check_region(launch, "cu_seqlens_k", call.args.cu_seqlens_k, offsetof(CallArg, k_lens.data),
               false);
  CHECK(launch.call().lse.data == 0);
}

TEST_CASE("a tensor without elements has no address, which is how a kernel knows") {
  FakeEngine fake;
  RandomCall call(test::fresh_seed());
  Spec spec{.pattern = Pattern::parse(
                "attention a { tensor t: i32[_]\n mask t[k] == 0 plan elements }"),
            .dtype = DType::bf16,
            .head_dim = 16,
            .value_dim = 24};
  NamedTensor t{"t", call.view(DType::i32, {0}, false)};
  REQUIRE(t.view.data);
  call.args.tensors = {&t, 1};
  call.args.lse = {};
  Program program = fake.engine.program(spec);
  program.forward(call.args);
  const test::Launched& launch = fake.device->launches.at(0);
  int at = program.state().planned->layout.tensors_at;
  CHECK(launch.at<TensorArg>(static_cast<std::size_t>(at)).data == 0);
  CHECK(launch.at<TensorArg>(static_cast<std::size_t>(at)).extent[0] == 0);
  CHECK_FALSE(launch.region("t"));
}

TEST_CASE("a call is aligned exactly where every row of Q, K, V and O starts on 16 bytes") {
  unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  int aligned = 0;
  for (unsigned round = 0; round < 300; ++round) {
    RandomCall call(seed + round);
    bool expected = true;
    for (const TensorView& view : {call.args.q, call.args.k, call.args.v, call.args.o}) {
      for (std::int64_t b = 0; b < view.shape[0]; ++b)
        for (std::int64_t h = 0; h < view.shape[1]; ++h)
          for (std::int64_t row = 0; row < view.shape[2]; ++row) {
            std::int64_t element =
                b * view.strides[0] + h * view.strides[1] + row * view.strides[2];
            expected &=
                (address(view) + static_cast<unsigned long long>(element * size_of(view.dtype))) %
                    16 ==
                0;
          }
    }
    INFO("round " << round);
    CHECK(runtime::variant_of(call.args).aligned == expected);
    aligned += expected;
  }
  CHECK(aligned > 0);
  CHECK(aligned < 300);
}

struct Checked {
  explicit Checked(unsigned seed) : call(seed), fake({.validate = true}) {
    call.args.lse = {};
    doc = {"doc", call.view(DType::i32, {call.shape.batch, call.shape.keys}, false)};
    call.args.tensors = {&doc, 1};
    spec.pattern =
        Pattern::parse("attention a { tensor doc: i32[batch, key]\n mask doc[b, q] == doc[b, k] }");
  }
  std::string forward() {
    try {
      fake.engine.program(spec).forward(call.args);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::argument);
      return error.what();
    }
    return "";
  }
  RandomCall call;
  FakeEngine fake;
  NamedTensor doc;
  Spec spec{.pattern = Pattern::parse("attention a { }"),
            .dtype = DType::bf16,
            .head_dim = 16,
            .value_dim = 24,
            .lengths = Lengths::padded};
};

TEST_CASE("a report from the device becomes an error that names tensor, axis, index and site") {
  Checked checked(test::fresh_seed());
  CHECK(checked.forward() == "");
  checked.fake.device->found = {1, 0, 1, 131, 131, {0, 1, 5, 7}};
  CHECK(checked.forward() ==
        "tensor 'doc': axis key: index 131 is outside 0..130, read at b=0 h=1 q=5 k=7");
  checked.fake.device->found.extent = 0;
  CHECK(checked.forward().find("the axis is empty") != std::string::npos);
  CHECK(checked.fake.device->allocations == 0);
  const test::Launched& launch = checked.fake.device->launches.at(0);
  CHECK(launch.region("report")->writable);
  CHECK(launch.region("report")->view.elements() * 4 == sizeof(Report));
}

TEST_CASE("validation looks at values in device memory before a launch") {
  Checked checked(test::fresh_seed());
  checked.call.args.q_lens = checked.call.view(DType::i32, {checked.call.shape.batch}, false);
  auto* lens = static_cast<std::int32_t*>(checked.call.args.q_lens.data);
  CHECK(checked.forward() == "");
  const std::size_t launches = checked.fake.device->launches.size();
  CHECK(launches > 0);
  lens[0] = static_cast<std::int32_t>(checked.call.shape.queries) + 1;
  CHECK(checked.forward().find("q_lens") != std::string::npos);
  CHECK(checked.fake.device->launches.size() == launches);
}

}  // namespace
