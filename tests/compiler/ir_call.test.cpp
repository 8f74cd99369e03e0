#include "compiler/ir/call.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"

#include <bit>
#include <functional>
#include <limits>
#include <vector>

using namespace lacuna;
using ir::AxisKind;
using ir::NodeId;
using ir::Type;

namespace {

/// A spec, and arguments that fit it, for one test to spoil.
struct Call {
  Spec spec;
  std::vector<std::byte> bytes = std::vector<std::byte>(1 << 20);
  std::vector<NamedValue> params;
  std::vector<NamedTensor> tensors;
  Args args;

  TensorView view(DType dtype, std::initializer_list<std::int64_t> shape) {
    return TensorView::contiguous(bytes.data(), dtype, shape);
  }
  TensorView& tensor(std::string_view name) {
    for (NamedTensor& each : tensors)
      if (each.name == name) return each.view;
    throw std::out_of_range("no tensor");
  }
  ir::Call bind(ir::Needs needs = ir::Needs::everything) {
    args.params = params;
    args.tensors = tensors;
    return ir::bind(spec, args, needs);
  }
};

Pattern pattern_with(std::function<void(ir::Pattern&)> change = {}) {
  ir::Pattern pattern{.name = "docs"};
  pattern.params = {
      {"reach", Type::i32, {}}, {"slope", Type::f32, 1.5f}, {"wide", Type::boolean, true}};
  pattern.tensors = {
      {"doc", Type::i32, {{AxisKind::batch}, {AxisKind::key}}},
      {"row", Type::f32, {{AxisKind::head}, {AxisKind::query}}},
      {"keep", Type::boolean, {{AxisKind::kv_head}, {AxisKind::fixed, 5}, {AxisKind::any}}}};
  if (change) change(pattern);
  return fuzz::published(std::move(pattern));
}

/// B=2, H=4, G=2, Nq=6, Nk=10, D=16, Dv=8.
Call good(Pattern pattern = pattern_with()) {
  Call call{
      .spec = {.pattern = std::move(pattern), .dtype = DType::f16, .head_dim = 16, .value_dim = 8}};
  call.args.q = call.view(DType::f16, {2, 4, 6, 16});
  call.args.k = call.view(DType::f16, {2, 2, 10, 16});
  call.args.v = call.view(DType::f16, {2, 2, 10, 8});
  call.args.o = call.view(DType::f16, {2, 4, 6, 8});
  call.params = {{"reach", 7}};
  call.tensors = {{"keep", call.view(DType::u8, {2, 5, 9})},
                  {"doc", call.view(DType::i32, {2, 10})},
                  {"row", call.view(DType::f32, {4, 6})}};
  return call;
}

Call packed() {
  Call call = good(pattern_with([](ir::Pattern& pattern) { pattern.tensors.clear(); }));
  call.tensors.clear();
  call.spec.lengths = Lengths::packed;
  call.args.q = call.view(DType::f16, {1, 4, 6, 16});
  call.args.k = call.view(DType::f16, {1, 2, 10, 16});
  call.args.v = call.view(DType::f16, {1, 2, 10, 8});
  call.args.o = call.view(DType::f16, {1, 4, 6, 8});
  static std::int32_t starts_q[] = {0, 2, 2, 6}, starts_k[] = {0, 5, 6, 10};
  call.args.cu_seqlens_q = TensorView::contiguous(starts_q, DType::i32, {4});
  call.args.cu_seqlens_k = TensorView::contiguous(starts_k, DType::i32, {4});
  return call;
}

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    return error.what();
  }
  return "no error";
}

void check_binds(std::string_view expected, const std::function<void(Call&)>& spoil,
                 Call call = good()) {
  spoil(call);
  CHECK(message_of([&] { call.bind(); }) == expected);
}

}  // namespace

TEST_CASE("a call that fits is bound by index, with defaults filled in") {
  Call call = good();
  const ir::Call bound = call.bind();
  CHECK(bound.shape == Shape{2, 4, 2, 6, 10});
  CHECK(bound.scale == 0.25f);
  CHECK_FALSE(bound.has_offset);
  CHECK(bound.params == std::vector<std::uint32_t>{7, std::bit_cast<std::uint32_t>(1.5f), 1});
  REQUIRE(bound.tensors.size() == 3);
  CHECK(bound.tensors[0].shape[1] == 10);
  CHECK(bound.tensors[2].rank == 3);

  call.params.push_back({"slope", -3});
  call.args.offset = -2;
  call.args.scale = 0.5f;
  call.tensor("doc") = call.view(DType::i32, {1, 10});
  call.tensor("keep").dtype = DType::boolean;
  const ir::Call other = call.bind();
  CHECK(other.params[1] == std::bit_cast<std::uint32_t>(-3.0f));
  CHECK(other.has_offset);
  CHECK(other.offset == -2);
  CHECK(other.scale == 0.5f);

  const ir::Call sequences = packed().bind();
  CHECK(sequences.shape == Shape{3, 4, 2, 6, 10});
}

TEST_CASE("less is needed where less is looked at") {
  Call call = good();
  call.args.o = {};
  CHECK(message_of([&] { call.bind(); }) == "O is missing");
  CHECK(call.bind(ir::Needs::inputs).shape.keys == 10);
  call.args.v = {};
  call.args.q.data = nullptr;
  CHECK(message_of([&] { call.bind(ir::Needs::inputs); }) ==
        "Q has no memory: its data pointer is null");
  CHECK(call.bind(ir::Needs::shapes).shape.keys == 10);
}

TEST_CASE("a spec is checked alone") {
  const auto check = [](std::string_view expected, const std::function<void(Spec&)>& spoil) {
    Spec spec = good().spec;
    spoil(spec);
    CHECK(message_of([&] { ir::check_spec(spec); }) == expected);
  };
  check("no error", [](Spec&) {});
  check("head_dim is 12, expected a multiple of 8 in 8..256", [](Spec& s) { s.head_dim = 12; });
  check("value_dim is 264, expected a multiple of 8 in 8..256", [](Spec& s) { s.value_dim = 264; });
  check("dtype of Q, K and V is i32, expected f32, f16 or bf16",
        [](Spec& s) { s.dtype = DType::i32; });
  check("dtype of O is bool, expected f32, f16 or bf16",
        [](Spec& s) { s.output = DType::boolean; });
  check("storage of tensor 'doc' is f16, expected i8, u8, i16, i32 or i64 for i32",
        [](Spec& s) { s.storage["doc"] = DType::f16; });
  check(
      "storage is given for tensor 'dok', which pattern 'docs' does not have; did you mean 'doc'?",
      [](Spec& s) { s.storage["dok"] = DType::i64; });
  const auto with_alpha = [](float alpha) {
    return pattern_with([=](ir::Pattern& pattern) {
      pattern.weights = {ir::WeightsKind::entmax, ir::no_node, pattern.graph.constant(alpha)};
    });
  };
  check("entmax alpha is 2.5, expected 1 or a value in [1.01, 2]",
        [&](Spec& s) { s.pattern = with_alpha(2.5f); });
  for (float alpha : {1.0f, 1.01f, 1.5f, 2.0f})
    check("no error", [&](Spec& s) { s.pattern = with_alpha(alpha); });
}

TEST_CASE("every argument that does not fit is named, with its place and the limit") {
  check_binds("Q is missing", [](Call& c) { c.args.q = {}; });
  check_binds("Q is bf16, expected f16", [](Call& c) { c.args.q.dtype = DType::bf16; });
  check_binds("K has rank 3, expected 4", [](Call& c) {
    c.args.k = c.view(DType::f16, {2, 10, 16});
  });
  check_binds("K: axis 0 (batch) has extent 3, expected 2, as Q has",
              [](Call& c) { c.args.k.shape[0] = 3; });
  check_binds("K: axis 3 (column) has extent 24, expected 16 (head_dim)",
              [](Call& c) { c.args.k.shape[3] = 24; });
  check_binds("Q has 4 heads, expected a multiple of the 3 heads of K and V", [](Call& c) {
    c.args.k = c.view(DType::f16, {2, 3, 10, 16});
    c.args.v = c.view(DType::f16, {2, 3, 10, 8});
  });
  check_binds("V: axis 2 (row) has extent 11, expected 10, as K has", [](Call& c) {
    c.args.v = c.view(DType::f16, {2, 2, 11, 8});
  });
  check_binds("V: axis 3 (column) has extent 16, expected 8 (value_dim)", [](Call& c) {
    c.args.v = c.view(DType::f16, {2, 2, 10, 16});
  });
  check_binds("Q: the last axis has stride 2, expected 1 (contiguous)",
              [](Call& c) { c.args.q.strides[3] = 2; });
  check_binds("K: one head spans 2^31 elements or more (10 rows, 268435456 apart)",
              [](Call& c) { c.args.k.strides[2] = 1 << 28; });
  check_binds("Q stands at an address that is not a multiple of its element, 2 bytes",
              [](Call& c) { c.args.q.data = c.bytes.data() + 1; });
  check_binds("O: axis 1 has stride 0, but each of its 4 elements is written",
              [](Call& c) { c.args.o.strides[1] = 0; });
  check_binds("O is f16, expected f32", [](Call& c) { c.spec.output = DType::f32; });
  check_binds("lse is missing", [](Call& c) { c.spec.statistic = true; });
  check_binds("lse is given, but the spec does not ask for the statistic", [](Call& c) {
    c.args.lse = c.view(DType::f32, {2, 4, 6});
  });
  check_binds("gap is given, but the spec does not ask for the statistic", [](Call& c) {
    c.args.gap = c.view(DType::f32, {2, 4, 6});
  });
  check_binds("zmax is given, but the statistic of softmax is lse", [](Call& c) {
    c.spec.statistic = true;
    c.args.lse = c.args.zmax = c.view(DType::f32, {2, 4, 6});
  });
  check_binds("scale is inf, expected a finite number",
              [](Call& c) { c.args.scale = std::numeric_limits<float>::infinity(); });
  check_binds("Q: axis 0 has extent -1, expected 0 to 2147483647",
              [](Call& c) { c.args.q.shape[0] = -1; });
}

TEST_CASE("the statistic of entmax is zmax and gap, unless its alpha is the constant 1") {
  const auto weighed_by = [](float alpha) {
    Call call = good(pattern_with([=](ir::Pattern& pattern) {
      pattern.weights = {ir::WeightsKind::entmax, ir::no_node, pattern.graph.constant(alpha)};
    }));
    call.spec.statistic = true;
    return call;
  };
  const auto of = [](std::initializer_list<TensorView Args::*> given) {
    return [=, all = std::vector(given)](Call& c) {
      for (TensorView Args::*view : all) c.args.*view = c.view(DType::f32, {2, 4, 6});
    };
  };
  check_binds("no error", of({&Args::zmax, &Args::gap}), weighed_by(1.5f));
  check_binds("zmax is missing", of({&Args::gap}), weighed_by(1.5f));
  check_binds("gap is missing", of({&Args::zmax}), weighed_by(1.5f));
  check_binds("lse is given, but the statistic of entmax is zmax and gap",
              of({&Args::lse, &Args::zmax, &Args::gap}), weighed_by(1.5f));
  check_binds(
      "gap: axis 2 (row) has extent 5, expected 6, as Q has",
      [](Call& c) {
        c.args.zmax = c.view(DType::f32, {2, 4, 6});
        c.args.gap = c.view(DType::f32, {2, 4, 5});
      },
      weighed_by(1.5f));
  check_binds("no error", of({&Args::lse}), weighed_by(1.0f));
  check_binds("zmax is given, but the statistic of softmax is lse", of({&Args::lse, &Args::zmax}),
              weighed_by(1.0f));
}

TEST_CASE("params are matched by name and type") {
  check_binds("param 'reach' is not given and has no default", [](Call& c) { c.params.clear(); });
  check_binds("pattern 'docs' has no param 'reech'; did you mean 'reach'?", [](Call& c) {
    c.params.push_back({"reech", 1});
  });
  check_binds("param 'reach' is given twice", [](Call& c) { c.params.push_back({"reach", 1}); });
  check_binds("param 'reach': expected i32, got f32", [](Call& c) { c.params[0].value = 7.0f; });
  check_binds("param 'wide': expected bool, got i32", [](Call& c) {
    c.params.push_back({"wide", 1});
  });
  check_binds("param 'slope' is f32, which cannot hold 16777217 exactly", [](Call& c) {
    c.params.push_back({"slope", 16777217});
  });
  check_binds("param 'slope' is f32, which cannot hold 2147483647 exactly", [](Call& c) {
    c.params.push_back({"slope", std::numeric_limits<std::int32_t>::max()});
  });
  const auto alpha = [](float value, std::string_view expected) {
    Call call = good(pattern_with([](ir::Pattern& pattern) {
      pattern.weights = {ir::WeightsKind::entmax, ir::no_node, pattern.graph.param(1, Type::f32)};
    }));
    check_binds(
        expected,
        [=](Call& c) {
          c.params.push_back({"slope", value});
        },
        std::move(call));
  };
  alpha(1.005f, "param 'slope', the alpha of entmax, is 1.005, expected 1 or a value in [1.01, 2]");
  alpha(std::nanf(""),
        "param 'slope', the alpha of entmax, is nan, expected 1 or a value in [1.01, 2]");
  alpha(2.0f, "no error");
}

TEST_CASE("tensors are matched by name, storage and extent") {
  check_binds("tensor 'keep' of pattern 'docs' is not given",
              [](Call& c) { c.tensors.erase(c.tensors.begin()); });
  check_binds("pattern 'docs' has no tensor 'docs'; did you mean 'doc'?",
              [](Call& c) { c.tensors[1].name = "docs"; });
  check_binds("tensor 'doc' is given twice", [](Call& c) { c.tensors.push_back(c.tensors[1]); });
  check_binds("tensor 'doc' is i64, expected i32",
              [](Call& c) { c.tensor("doc").dtype = DType::i64; });
  check_binds("no error", [](Call& c) {
    c.spec.storage["doc"] = DType::i64;
    c.tensor("doc").dtype = DType::i64;
  });
  check_binds("tensor 'doc' has rank 1, expected 2",
              [](Call& c) { c.tensor("doc") = c.view(DType::i32, {10}); });
  check_binds("tensor 'doc': axis 1 (key) has extent 9, expected 10",
              [](Call& c) { c.tensor("doc").shape[1] = 9; });
  check_binds("tensor 'doc': axis 1 (key) has extent 1, expected 10",
              [](Call& c) { c.tensor("doc").shape[1] = 1; });
  check_binds("tensor 'doc': axis 0 (batch) has extent 3, expected 2 (or 1 to broadcast)",
              [](Call& c) { c.tensor("doc").shape[0] = 3; });
  check_binds("tensor 'row': axis 0 (head) has extent 2, expected 4 (or 1 to broadcast)",
              [](Call& c) { c.tensor("row").shape[0] = 2; });
  check_binds("tensor 'row': axis 1 (query) has extent 7, expected 6",
              [](Call& c) { c.tensor("row").shape[1] = 7; });
  check_binds("tensor 'keep': axis 0 (kv_head) has extent 4, expected 2 (or 1 to broadcast)",
              [](Call& c) { c.tensor("keep").shape[0] = 4; });
  check_binds("tensor 'keep': axis 1 (fixed) has extent 6, expected 5",
              [](Call& c) { c.tensor("keep").shape[1] = 6; });
  check_binds("no error", [](Call& c) { c.tensor("keep").shape[2] = 3; });
}

TEST_CASE("lengths and offsets go with the spec") {
  const auto vector = [](Call& c, std::int64_t n) { return c.view(DType::i32, {n}); };
  check_binds("q_lens is given, but the lengths of the spec are not padded",
              [&](Call& c) { c.args.q_lens = vector(c, 2); });
  check_binds("cu_seqlens_k is given, but the lengths of the spec are not packed",
              [&](Call& c) { c.args.cu_seqlens_k = vector(c, 3); });
  check_binds("k_lens has extent 3, expected 2", [&](Call& c) {
    c.spec.lengths = Lengths::padded;
    c.args.k_lens = vector(c, 3);
  });
  check_binds("offset and offsets are both given, expected one of them", [&](Call& c) {
    c.args.offset = 0;
    c.args.offsets = vector(c, 2);
  });
  check_binds("offsets has extent 1, expected 2", [&](Call& c) { c.args.offsets = vector(c, 1); });
  check_binds("offsets is i64, expected i32",
              [&](Call& c) { c.args.offsets = c.view(DType::i64, {2}); });
  check_binds(
      "no error", [](Call&) {}, packed());
  check_binds(
      "cu_seqlens_q is missing", [](Call& c) { c.args.cu_seqlens_q = {}; }, packed());
  check_binds(
      "cu_seqlens_k has extent 3, expected 4", [&](Call& c) { c.args.cu_seqlens_k = vector(c, 3); },
      packed());
  check_binds(
      "Q: axis 0 (batch) has extent 2, expected 1 (packed sequences stand in one batch)",
      [](Call& c) {
        c.args.q = c.view(DType::f16, {2, 4, 6, 16});
      },
      packed());
}

TEST_CASE("values in host memory are validated") {
  const auto check = [](std::string_view expected, Call& call) {
    const ir::Call bound = call.bind();
    CHECK(message_of([&] { ir::validate_values(call.spec, call.args, bound); }) == expected);
  };
  std::int32_t lens[] = {6, 3};
  Call padded = good();
  padded.spec.lengths = Lengths::padded;
  padded.args.q_lens = TensorView::contiguous(lens, DType::i32, {2});
  check("no error", padded);
  lens[1] = 7;
  check("q_lens[1] is 7, expected 0 to 6", padded);
  lens[1] = -1;
  check("q_lens[1] is -1, expected 0 to 6", padded);

  Call sequences = packed();
  check("no error", sequences);
  std::int32_t starts[] = {0, 5, 4, 10};
  sequences.args.cu_seqlens_k = TensorView::contiguous(starts, DType::i32, {4});
  check("cu_seqlens_k[2] is 4, expected at least the 5 before it", sequences);
  starts[2] = 6, starts[3] = 9;
  check("cu_seqlens_k[3] is 9, expected the number of rows, 10", sequences);
  starts[3] = 10, starts[0] = 1;
  check("cu_seqlens_k[0] is 1, expected 0", sequences);

  std::vector<std::int64_t> ids(20, 5);
  Call wide = good();
  wide.spec.storage["doc"] = DType::i64;
  wide.tensor("doc") = TensorView::contiguous(ids.data(), DType::i64, {2, 10});
  check("no error", wide);
  ids[13] = std::int64_t{1} << 31;
  check("tensor 'doc' is 2147483648 at [1, 3], which does not fit i32", wide);

  Call learned = good(pattern_with([](ir::Pattern& pattern) {
    pattern.tensors[1].axes = {{AxisKind::head}};
    pattern.weights = {
        ir::WeightsKind::entmax, ir::no_node,
        pattern.graph.read(1, Type::f32, std::array{pattern.graph.variable(ir::Variable::h)})};
  }));
  float alphas[] = {1.0f, 1.25f, 1.5f, 2.0f};
  learned.tensor("row") = TensorView::contiguous(alphas, DType::f32, {4});
  check("no error", learned);
  alphas[2] = 0.5f;
  check("tensor 'row', the alpha of entmax, is 0.5 at [2], expected 1 or a value in [1.01, 2]",
        learned);
}
