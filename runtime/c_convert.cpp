#include "runtime/c_convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace lacuna::runtime {
namespace {

static_assert(LACUNA_F32 == 1 + static_cast<int>(DType::f32) &&
              LACUNA_BOOL == 1 + static_cast<int>(DType::boolean));
static_assert(LACUNA_DEVICE_CUDA == static_cast<int>(DeviceKind::cuda));
static_assert(LACUNA_COMPILER_LLVM == static_cast<int>(CompilerKind::llvm));
static_assert(LACUNA_PACKED == static_cast<int>(Lengths::packed));
static_assert(LACUNA_ERROR_PATTERN == 1 + static_cast<int>(ErrorKind::pattern) &&
              LACUNA_ERROR_IO == 1 + static_cast<int>(ErrorKind::io));

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorKind::argument, message);
}

/// What a caller built against an older or the same header has set. A newer caller's fields beyond
/// ours must be 0: ignoring one would change what was asked for.
template <typename T>
T sized(const T* given, const char* name) {
  required(given, name);
  std::size_t size = given->size;
  if (size < sizeof size)
    refuse(fmt::format("{}: size is {}; set it to sizeof(*{})", name, size, name));
  T copy{};
  std::memcpy(&copy, given, std::min(size, sizeof copy));
  const char* beyond = reinterpret_cast<const char*>(given) + sizeof copy;
  if (size > sizeof copy &&
      std::any_of(beyond, beyond + (size - sizeof copy), [](char c) { return c != 0; })) {
    refuse(fmt::format("{}: sets a field that version {} does not know", name, LACUNA_VERSION));
  }
  return copy;
}

/// An enumerator, `first` .. `last`.
template <typename Enum>
Enum choice(std::int32_t value, int first, int last, std::string_view name) {
  if (value >= first && value <= last) return static_cast<Enum>(value);
  refuse(fmt::format("{} is {}; expected {}..{}", name, value, first, last));
}

bool flag(std::int32_t value, std::string_view name) {
  return choice<int>(value, 0, 1, name) != 0;
}

DType dtype_of(std::int32_t value, std::string_view name) {
  return static_cast<DType>(choice<int>(value, LACUNA_F32, LACUNA_BOOL, name) - 1);
}

Literal literal_of(const lacuna_param& param) {
  if (param.dtype == LACUNA_BOOL) return param.value.integer != 0;
  if (param.dtype == LACUNA_I32) return param.value.integer;
  if (param.dtype == LACUNA_F32) return param.value.real;
  refuse(fmt::format("param '{}': dtype {} is not LACUNA_BOOL, LACUNA_I32 or LACUNA_F32",
                     param.name, param.dtype));
}

void set_path(std::string& to, const char* from) {
  if (from) to = from;
}

/// An array of `count` elements; null is allowed where there are none.
template <typename T>
std::span<const T> list(const T* first, std::size_t count, const char* name) {
  if (count == 0) return {};
  return {required(first, name), count};
}

}  // namespace

void refuse_null(const char* name) {
  refuse(fmt::format("{} is null", name));
}

EngineOptions options_of(const lacuna_engine_options* options) {
  EngineOptions result = EngineOptions::from_environment();
  if (!options) return result;
  lacuna_engine_options given = sized(options, "options");
  if (given.device)
    result.device = choice<DeviceKind>(given.device, 1, LACUNA_DEVICE_CUDA, "options.device");
  if (given.ordinal) result.ordinal = choice<int>(given.ordinal, 0, 1 << 20, "options.ordinal");
  if (given.compiler) {
    result.compiler =
        choice<CompilerKind>(given.compiler, 1, LACUNA_COMPILER_LLVM, "options.compiler");
  }
  if (given.threads) result.threads = choice<int>(given.threads, 1, 1 << 20, "options.threads");
  if (flag(given.validate, "options.validate")) result.validate = true;
  if (flag(given.check_memory, "options.check_memory")) result.check_memory = true;
  if (given.schedule) result.schedule = given.schedule;
  set_path(result.nvrtc_library, given.nvrtc_library);
  set_path(result.llvm_library, given.llvm_library);
  if (given.cache_dir) result.cache_dir = given.cache_dir;
  if (given.cache_bytes) result.cache_bytes = given.cache_bytes;
  if (given.log) {
    result.log = [log = given.log, closure = given.log_closure](std::string_view line) {
      log(std::string(line).c_str(), closure);
    };
  }
  return result;
}

Spec spec_of(const lacuna_spec* spec, const Pattern& pattern) {
  lacuna_spec given = sized(spec, "spec");
  Spec result{.pattern = pattern};
  result.dtype = dtype_of(given.dtype, "spec.dtype");
  result.head_dim = given.head_dim;
  result.value_dim = given.value_dim ? given.value_dim : given.head_dim;
  if (given.output) result.output = dtype_of(given.output, "spec.output");
  result.statistic = flag(given.statistic, "spec.statistic");
  result.escort = flag(given.escort, "spec.escort");
  result.sparsity = flag(given.sparsity, "spec.sparsity");
  result.lengths = choice<Lengths>(given.lengths, 0, LACUNA_PACKED, "spec.lengths");
  for (const lacuna_storage& storage : list(given.storage, given.storage_count, "spec.storage")) {
    std::string name = required(storage.name, "a name in spec.storage");
    result.storage[name] =
        dtype_of(storage.dtype, fmt::format("spec.storage: dtype of '{}'", name));
  }
  return result;
}

Shape shape_of(const lacuna_shape& shape) {
  return {shape.batch, shape.heads, shape.kv_heads, shape.queries, shape.keys};
}

TensorView view_of(const lacuna_tensor& tensor, std::string_view name) {
  if (!tensor.data && tensor.rank == 0) return {};
  if (tensor.rank < 0 || tensor.rank > max_rank) {
    refuse(fmt::format("tensor '{}': rank {} is outside 0..{}", name, tensor.rank, max_rank));
  }
  if (tensor.rank > 0 && !tensor.shape) refuse(fmt::format("tensor '{}': shape is null", name));
  if (tensor.dtype < LACUNA_F32 || tensor.dtype > LACUNA_BOOL) {
    refuse(fmt::format("tensor '{}': dtype is {}; expected {}..{}", name, tensor.dtype,
                       static_cast<int>(LACUNA_F32), static_cast<int>(LACUNA_BOOL)));
  }
  TensorView view{tensor.data, static_cast<DType>(tensor.dtype - 1), tensor.rank, {}, {}};
  std::int64_t stride = 1;
  for (int axis = tensor.rank; axis-- > 0;) {
    auto at = static_cast<std::size_t>(axis);
    view.shape[at] = tensor.shape[axis];
    view.strides[at] = tensor.strides ? tensor.strides[axis] : stride;
    // Unsigned: absurd extents must reach the check of shapes, not overflow here.
    stride = static_cast<std::int64_t>(static_cast<std::uint64_t>(stride) *
                                       static_cast<std::uint64_t>(tensor.shape[axis]));
  }
  return view;
}

FlatTileRows::FlatTileRows(const TileRows& rows) : lacuna_tile_rows{}, order_(rows.order) {
  const auto here = [this] { return static_cast<std::int32_t>(indices_.size()); };
  for (const TileRows::Row& row : rows.rows)
    for (const auto* part : {&row.full, &row.partial}) {
      offsets_.push_back(here());
      indices_.insert(indices_.end(), part->begin(), part->end());
    }
  offsets_.push_back(here());
  static_cast<lacuna_tile_rows&>(*this) = {.size = sizeof(lacuna_tile_rows),
                                           .tile_q = rows.tile_q,
                                           .tile_k = rows.tile_k,
                                           .list_batch = rows.list_batch,
                                           .list_heads = rows.list_heads,
                                           .q_tiles = rows.q_tiles,
                                           .rows = static_cast<std::int32_t>(rows.rows.size()),
                                           .offsets = offsets_.data(),
                                           .indices = indices_.data(),
                                           .order = order_.data()};
}

FlatSparsityRows::FlatSparsityRows(SparsityRows rows)
    : lacuna_sparsity_rows{}, own_(std::move(rows)) {
  static_cast<lacuna_sparsity_rows&>(*this) = {
      .size = sizeof(lacuna_sparsity_rows),
      .rows = static_cast<std::int64_t>(own_.passes.size()),
      .passes = own_.passes.data(),
      .candidates = own_.candidates.data(),
      .support = own_.support.data(),
      .residual = own_.residual.data(),
      .tile_q = own_.tile_q,
      .tile_k = own_.tile_k,
      .q_tiles = own_.q_tiles,
      .tiles = static_cast<std::int64_t>(own_.live_tiles.size()),
      .live_tiles = own_.live_tiles.data(),
      .offsets = own_.offsets.data(),
      .keys = own_.keys.data()};
}

BoundArgs::BoundArgs(const lacuna_args* given_args) {
  lacuna_args given = sized(given_args, "args");
  args_.q = view_of(given.q, "q");
  args_.k = view_of(given.k, "k");
  args_.v = view_of(given.v, "v");
  args_.o = view_of(given.o, "o");
  args_.lse = view_of(given.lse, "lse");
  args_.zmax = view_of(given.zmax, "zmax");
  args_.gap = view_of(given.gap, "gap");
  args_.escort = view_of(given.escort, "escort");
  args_.offsets = view_of(given.offsets, "offsets");
  args_.q_lens = view_of(given.q_lens, "q_lens");
  args_.k_lens = view_of(given.k_lens, "k_lens");
  args_.cu_seqlens_q = view_of(given.cu_seqlens_q, "cu_seqlens_q");
  args_.cu_seqlens_k = view_of(given.cu_seqlens_k, "cu_seqlens_k");
  args_.workspace = view_of(given.workspace, "workspace");
  if (given.tiles) args_.tiles = &given.tiles->tiles;
  if (given.sparsity) args_.sparsity = &given.sparsity->sparsity;
  if (given.scale) args_.scale = *given.scale;
  if (given.offset) args_.offset = *given.offset;
  bind_names(given);
}

void BoundArgs::bind_names(const lacuna_args& given) {
  for (const lacuna_param& param : list(given.params, given.param_count, "args.params")) {
    std::string_view name = required(param.name, "a name in args.params");
    params_.push_back({name, literal_of(param)});
  }
  for (const lacuna_named_tensor& tensor :
       list(given.tensors, given.tensor_count, "args.tensors")) {
    std::string_view name = required(tensor.name, "a name in args.tensors");
    tensors_.push_back({name, view_of(tensor.tensor, name)});
  }
  args_.params = params_;
  args_.tensors = tensors_;
}

}  // namespace lacuna::runtime
