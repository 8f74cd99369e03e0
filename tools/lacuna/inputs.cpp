#include "tools/lacuna/inputs.h"

#include "compiler/base/diagnostic.h"
#include "compiler/ir/element.h"
#include "tools/lacuna/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace lacuna::tool {
namespace {

Array read_operand(std::string_view flag, const std::string& file) {
  Array array = read_npy(file, flag);
  if (array.dtype != DType::f32 && array.dtype != DType::f16) {
    throw Error(ErrorKind::argument,
                fmt::format("{} '{}' holds {}, and float32 or float16 is needed", flag, file,
                            name_of(array.dtype)));
  }
  if (array.shape.size() != 4) {
    throw Error(ErrorKind::argument,
                fmt::format("{} '{}' has {} axes, and 4 are needed: [batch, heads, rows, dim]",
                            flag, file, array.shape.size()));
  }
  return array;
}

/// One i32 per sequence, from any integer type; nothing where the flag was not given.
Array read_vector(std::string_view flag, const std::string& file) {
  if (file.empty()) return {};
  Array array = read_npy(file, flag);
  if (ir::is_real(array.dtype) || array.dtype == DType::boolean || array.shape.size() != 1) {
    throw Error(ErrorKind::argument,
                fmt::format("{} '{}' is {} with {} axes, and integers with one axis are needed",
                            flag, file, name_of(array.dtype), array.shape.size()));
  }
  for (std::int64_t i = 0; i < array.elements(); ++i) {
    std::int64_t value = array.integer(i);
    if (value < INT32_MIN || value > INT32_MAX) {
      throw Error(ErrorKind::argument,
                  fmt::format("{} '{}' [{}] = {} does not fit i32", flag, file, i, value));
    }
  }
  return cast(array, DType::i32);
}

void read_offset(const std::string& flag, Inputs& inputs) {
  if (flag.empty()) return;
  auto number = parse_integer(flag);
  if (!number) {
    if (!flag.ends_with(".npy") && !std::filesystem::exists(flag)) {
      throw Error(ErrorKind::argument,
                  fmt::format("--offset '{}' is neither an integer nor a .npy file", flag));
    }
    inputs.offsets = read_vector("--offset", flag);
  } else if (*number < INT32_MIN || *number > INT32_MAX) {
    throw Error(ErrorKind::argument, fmt::format("--offset {} does not fit i32", flag));
  } else {
    inputs.offset = static_cast<std::int32_t>(*number);
  }
}

/// Q, K and V share one type: --dtype's, or the one that all three files have.
void cast_operands(const std::string& dtype, Inputs& inputs) {
  if (dtype.empty() && (inputs.q.dtype != inputs.k.dtype || inputs.q.dtype != inputs.v.dtype)) {
    throw Error(
        ErrorKind::argument,
        fmt::format("--q, --k and --v hold {}, {} and {}; --dtype chooses one for all",
                    name_of(inputs.q.dtype), name_of(inputs.k.dtype), name_of(inputs.v.dtype)));
  }
  DType wanted = dtype.empty() ? inputs.q.dtype : parse_dtype(dtype);
  for (Array* array : {&inputs.q, &inputs.k, &inputs.v}) *array = cast(*array, wanted);
}

/// The last of cu_seqlens: how many rows there are.
std::int64_t total(const Array& starts) {
  return starts.elements() > 0 ? starts.integer(starts.elements() - 1) : 0;
}

}  // namespace

Lengths Inputs::lengths() const {
  if (cu_seqlens_q.present() || cu_seqlens_k.present()) return Lengths::packed;
  return q_lens.present() || k_lens.present() ? Lengths::padded : Lengths::uniform;
}

Spec Inputs::spec(const Pattern& pattern, DType output, bool statistic) const {
  Spec spec{.pattern = pattern,
            .dtype = q.dtype,
            .output = output,
            .statistic = statistic,
            .lengths = lengths()};
  spec.head_dim = static_cast<int>(std::min<std::int64_t>(q.shape.at(3), INT32_MAX));
  spec.value_dim = static_cast<int>(std::min<std::int64_t>(v.shape.at(3), INT32_MAX));
  for (auto& [name, array] : tensors) spec.storage[name] = array.dtype;
  return spec;
}

std::vector<std::pair<std::string, const Array*>> Inputs::arrays() const {
  std::vector<std::pair<std::string, const Array*>> all;
  auto add = [&](std::string name, const Array& array) {
    if (array.present()) all.emplace_back(std::move(name), &array);
  };
  add("q", q), add("k", k), add("v", v);
  add("offsets", offsets);
  add("q_lens", q_lens), add("k_lens", k_lens);
  add("cu_seqlens_q", cu_seqlens_q), add("cu_seqlens_k", cu_seqlens_k);
  for (auto& [name, array] : tensors) add("tensor_" + name, array);
  return all;
}

Results results_for(const Inputs& inputs, const Spec& spec) {
  auto rows = inputs.q.shape;
  Results results;
  results.o = Array::zeros(spec.output.value_or(spec.dtype),
                           {rows.at(0), rows.at(1), rows.at(2), inputs.v.shape.at(3)});
  if (spec.escort) results.escort = results.o;
  if (!spec.statistic) return results;
  const auto statistic = Array::zeros(DType::f32, {rows[0], rows[1], rows[2]});
  if (spec.pattern.is_entmax())
    results.zmax = results.gap = statistic;
  else
    results.lse = statistic;
  return results;
}

std::vector<std::pair<std::string, Array>> read_tensors(const ir::Pattern& pattern,
                                                        const std::vector<std::string>& flags) {
  std::vector<std::string_view> names;
  for (const ir::Tensor& tensor : pattern.tensors) names.push_back(tensor.name);
  std::vector<std::pair<std::string, Array>> arrays;
  for (const Named& one : parse_named("--tensor", flags)) {
    if (std::find(names.begin(), names.end(), one.name) == names.end()) {
      throw Error(ErrorKind::argument, fmt::format("{} has no tensor '{}'{}", pattern.name,
                                                   one.name, suggestion(one.name, names)));
    }
    arrays.emplace_back(one.name, read_npy(one.value, "--tensor " + one.name));
  }
  return arrays;
}

void read_lengths(const LengthFlags& flags, Inputs& inputs) {
  read_offset(flags.offset, inputs);
  inputs.q_lens = read_vector("--q-lens", flags.q_lens);
  inputs.k_lens = read_vector("--k-lens", flags.k_lens);
  inputs.cu_seqlens_q = read_vector("--cu-seqlens-q", flags.cu_seqlens_q);
  inputs.cu_seqlens_k = read_vector("--cu-seqlens-k", flags.cu_seqlens_k);
}

std::optional<Shape> shape_of(const Extents& extents, const Inputs& inputs) {
  Shape shape = extents.shape;
  const Lengths lengths = inputs.lengths();
  const bool packed = lengths == Lengths::packed;
  if (packed && !(inputs.cu_seqlens_q.present() && inputs.cu_seqlens_k.present()))
    throw Error(ErrorKind::argument, "--cu-seqlens-q and --cu-seqlens-k go together");
  if (!extents.has_rows && lengths == Lengths::padded)
    throw Error(ErrorKind::argument, "--q-lens and --k-lens need the rows of --shape: Nq= (or N=)");
  if (!extents.has_rows && !packed) return {};
  if (!extents.has_rows) {
    shape.queries = total(inputs.cu_seqlens_q);
    shape.keys = total(inputs.cu_seqlens_k);
  }
  if (lengths == Lengths::uniform) return shape;
  const Array& lens = inputs.q_lens.present() ? inputs.q_lens : inputs.k_lens;
  const std::int64_t sequences =
      packed ? std::max<std::int64_t>(inputs.cu_seqlens_q.elements() - 1, 0) : lens.elements();
  if (extents.has_batch && shape.batch != sequences)
    throw Error(ErrorKind::argument,
                fmt::format("--shape: B is {}, but lengths are given for {} sequences", shape.batch,
                            sequences));
  shape.batch = sequences;
  return shape;
}

Inputs read_inputs(const ir::Pattern& pattern, const InputFlags& flags) {
  Inputs inputs;
  inputs.params = bind_params(pattern, flags.params);
  if (!flags.scale.empty()) inputs.scale = parse_float("--scale", flags.scale);
  if (!flags.dtype.empty()) parse_dtype(flags.dtype);  // before files that may take long to read
  inputs.tensors = read_tensors(pattern, flags.tensors);
  for (const ir::Tensor& tensor : pattern.tensors) {
    bool given = std::any_of(inputs.tensors.begin(), inputs.tensors.end(),
                             [&](auto& one) { return one.first == tensor.name; });
    if (!given) {
      throw Error(ErrorKind::argument,
                  fmt::format("tensor '{0}' of {1} is missing: pass --tensor {0}=F.npy",
                              tensor.name, pattern.name));
    }
  }
  inputs.q = read_operand("--q", flags.q);
  inputs.k = read_operand("--k", flags.k);
  const auto& keys = inputs.k.shape;
  inputs.v = flags.v.empty() ? Array::zeros(inputs.k.dtype, {keys[0], keys[1], keys[2], keys[3]})
                             : read_operand("--v", flags.v);
  cast_operands(flags.dtype, inputs);
  read_lengths(flags.lengths, inputs);
  return inputs;
}

}  // namespace lacuna::tool
