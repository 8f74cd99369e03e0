#include "compiler/plan/divisor.h"
#include "runtime/program.h"
#include "runtime/sparsity.h"
#include "templates/abi.h"

#include <cstring>

namespace lacuna::runtime {
namespace {

/// Fills a parameter block and keeps, for each address in it, which region it means.
class Packer {
 public:
  explicit Packer(Packed& packed) : packed_(packed) {}

  /// The view's address at `byte`, and the region that it means. Without elements it is null: that
  /// is what a kernel asks for before it reads.
  void address(std::size_t byte, std::string_view name, const TensorView& view,
               bool writable = false) {
    if (!view.data || view.elements() == 0) return;
    write(byte, reinterpret_cast<unsigned long long>(view.data));
    packed_.slots.push_back(
        {static_cast<std::uint32_t>(byte), static_cast<std::uint32_t>(packed_.regions.size())});
    packed_.regions.push_back({name, view, writable});
  }

  template <typename T>
  void write(std::size_t byte, const T& value) {
    std::memcpy(packed_.params.data() + byte, &value, sizeof value);
  }

 private:
  Packed& packed_;
};

/// ir::bind refuses what does not fit the device's 32-bit counts.
int narrow(std::int64_t value) {
  return static_cast<int>(value);
}

MatrixArg matrix(const TensorView& view) {
  return {0, view.strides[0], view.strides[1], view.strides[2]};
}

IndexArg index(const TensorView& view) {
  return {0, view.strides[0]};
}

CallArg call_arg(const Spec& spec, const Args& args, const ir::Call& call, std::int32_t q_tiles,
                 int splits) {
  bool packed = spec.lengths == Lengths::packed;
  CallArg arg{};
  arg.q = matrix(args.q);
  arg.k = matrix(args.k);
  arg.v = matrix(args.v);
  arg.o = matrix(args.o);
  arg.lse = matrix(args.lse);
  arg.offsets = index(args.offsets);
  arg.q_lens = index(packed ? args.cu_seqlens_q : args.q_lens);
  arg.k_lens = index(packed ? args.cu_seqlens_k : args.k_lens);
  arg.batch = narrow(call.shape.batch);
  arg.heads = narrow(call.shape.heads);
  arg.kv_heads = narrow(call.shape.kv_heads);
  arg.queries = narrow(call.shape.queries);
  arg.keys = narrow(call.shape.keys);
  arg.q_tiles = q_tiles;
  arg.offset = call.offset;
  arg.has_offset = call.has_offset;
  arg.scale = call.scale;
  arg.splits = splits;
  arg.group = arg.heads / std::max(arg.kv_heads, 1);
  arg.by_q_tiles = plan::divisor(arg.q_tiles);
  arg.by_heads = plan::divisor(arg.heads);
  arg.by_kv_heads = plan::divisor(arg.kv_heads);
  arg.by_group = plan::divisor(arg.group);
  arg.by_splits = plan::divisor(arg.splits);
  return arg;
}

void pack_addresses(Packer& packer, const Spec& spec, const Args& args) {
  packer.address(offsetof(CallArg, q.data), "q", args.q);
  packer.address(offsetof(CallArg, k.data), "k", args.k);
  packer.address(offsetof(CallArg, v.data), "v", args.v);
  packer.address(offsetof(CallArg, o.data), "o", args.o, true);
  if (args.lse.present()) packer.address(offsetof(CallArg, lse.data), "lse", args.lse, true);
  packer.address(offsetof(CallArg, offsets.data), "offsets", args.offsets);
  bool packed = spec.lengths == Lengths::packed;
  packer.address(offsetof(CallArg, q_lens.data), packed ? "cu_seqlens_q" : "q_lens",
                 packed ? args.cu_seqlens_q : args.q_lens);
  packer.address(offsetof(CallArg, k_lens.data), packed ? "cu_seqlens_k" : "k_lens",
                 packed ? args.cu_seqlens_k : args.k_lens);
}

/// An axis of extent 1 may stand for many (design §2): its stride is 0. A tensor without elements
/// has no address, and reads as zero.
void pack_tensor(Packer& packer, std::size_t byte, const ir::Tensor& tensor, TensorView view) {
  TensorArg arg{};
  for (int axis = 0; axis < max_rank; ++axis) {
    bool used = axis < view.rank;
    arg.stride[axis] = used && view.shape[axis] > 1 ? view.strides[axis] : 0;
    arg.extent[axis] = used ? narrow(view.shape[axis]) : 1;
  }
  packer.write(byte, arg);
  if (view.elements() == 0) view.data = nullptr;
  packer.address(byte + offsetof(TensorArg, data), tensor.name, view);
}

TensorView words(const TensorView& workspace, const plan::Buffer& buffer) {
  return TensorView::contiguous(static_cast<std::byte*>(workspace.data) + buffer.at, DType::i32,
                                {static_cast<std::int64_t>(buffer.bytes / 4)});
}

/// Each buffer is a region of its own, so that a device that checks knows where one ends.
void pack_rows(Packer& packer, std::size_t byte, const Lists& lists, bool writable) {
  const plan::TileLists& l = lists.layout;
  const TensorView& all = lists.workspace;
  packer.address(byte + offsetof(TileListArg, offsets), "tile list offsets",
                 words(all, l.row_offsets), writable);
  packer.address(byte + offsetof(TileListArg, indices), "tile list indices",
                 words(all, l.row_indices), writable);
  packer.address(byte + offsetof(TileListArg, order), "tile list order", words(all, l.row_order),
                 writable);
}

void pack_lists(Packer& packer, std::size_t byte, const Spec& spec, const Shape& shape,
                const Lists& lists) {
  const auto workspace = reinterpret_cast<std::uint64_t>(lists.workspace.data);
  if (!lists.phase) {
    packer.write(byte, plan::read_arg(lists.layout, shape, spec, workspace));
    pack_rows(packer, byte + offsetof(TileReadArg, rows), lists, false);
    return;
  }
  packer.write(byte, plan::build_arg(lists.layout, workspace, *lists.phase));
  pack_rows(packer, byte + offsetof(TileBuildArg, rows), lists, true);
  const plan::TileLists& l = lists.layout;
  const TensorView& all = lists.workspace;
  packer.address(byte + offsetof(TileBuildArg, spans), "spans of keys", words(all, l.spans), true);
  packer.address(byte + offsetof(TileBuildArg, states), "states of tiles", words(all, l.states),
                 true);
  packer.address(byte + offsetof(TileBuildArg, order), "order of a sort", words(all, l.spare_order),
                 true);
}

TensorView view_of_report(void* report) {
  return TensorView::contiguous(report, DType::i32, {sizeof(Report) / sizeof(int)});
}

bool rows_aligned(const TensorView& view) {
  constexpr std::uintptr_t unit = 16;
  if (reinterpret_cast<std::uintptr_t>(view.data) % unit != 0) return false;
  for (int axis = 0; axis + 1 < view.rank; ++axis) {
    if (view.shape[axis] > 1 && view.strides[axis] * size_of(view.dtype) % std::int64_t{unit} != 0)
      return false;
  }
  return true;
}

}  // namespace

namespace {

/// The call and the values of the pattern. Returns where the rest begins.
std::size_t pack_call(Packer& packer, const Planned& planned, const Args& args,
                      const ir::Call& call, std::int32_t q_tiles, void* report, int splits) {
  const Spec& spec = planned.plan.spec;
  const ir::Pattern& pattern = spec.pattern.tree();
  packer.write(0, call_arg(spec, args, call, q_tiles, splits));
  pack_addresses(packer, spec, args);
  if (report) packer.address(offsetof(CallArg, report), "report", view_of_report(report), true);
  std::size_t byte = static_cast<std::size_t>(planned.layout.params_at);
  for (std::uint32_t bits : call.params) {
    packer.write(byte, bits);
    byte += sizeof bits;
  }
  byte = static_cast<std::size_t>(planned.layout.tensors_at);
  for (std::size_t i = 0; i < pattern.tensors.size(); ++i, byte += sizeof(TensorArg)) {
    pack_tensor(packer, byte, pattern.tensors[i], call.tensors[i]);
  }
  return byte;
}

/// Room for the parameters, and for the addresses among them.
Packed room(const Planned& planned, std::size_t tail) {
  Packed packed;
  packed.params.resize(static_cast<std::size_t>(planned.layout.bytes) + tail);
  const std::size_t tensors = planned.plan.spec.pattern.tree().tensors.size();
  packed.slots.reserve(16 + tensors);
  packed.regions.reserve(16 + tensors);
  return packed;
}

TensorView part(const TensorView& workspace, std::uint64_t at, DType dtype,
                std::initializer_list<std::int64_t> shape) {
  return TensorView::contiguous(static_cast<std::byte*>(workspace.data) + at, dtype, shape);
}

/// zmax or gap: the call's own, or part of the workspace.
void pack_statistic(Packer& packer, std::size_t byte, std::string_view name, const TensorView& own,
                    const plan::Buffer& buffer, const Spec& spec, const ir::Call& call,
                    const Entmax& entmax) {
  const std::int64_t batch = spec.lengths == Lengths::packed ? 1 : call.shape.batch;
  const TensorView view = spec.statistic ? own
                                         : part(entmax.workspace, buffer.at, DType::f32,
                                                {batch, call.shape.heads, call.shape.queries});
  packer.write(byte, matrix(view));
  packer.address(byte + offsetof(MatrixArg, data), name, view, true);
}

void pack_sparsity(Packer& packer, std::size_t byte, const SparsityState& sparsity,
                   const Spec& spec, const ir::Call& call) {
  const plan::SparsityLayout& layout = sparsity.layout;
  const TensorView all = TensorView::contiguous(sparsity.lent->memory(), DType::i32,
                                                {static_cast<std::int64_t>(layout.bytes / 4)});
  const std::int64_t batch = spec.lengths == Lengths::packed ? 1 : call.shape.batch;
  const TensorView rows =
      part(all, layout.rows.at, DType::i32, {batch, call.shape.heads, call.shape.queries, 4});
  SparsityArg arg{};
  arg.rows = matrix(rows);
  arg.key_words = layout.key_words;
  packer.write(byte, arg);
  packer.address(byte + offsetof(SparsityArg, rows.data), "sparsity of rows", rows, true);
  packer.address(byte + offsetof(SparsityArg, tiles), "live tiles", words(all, layout.live_tiles),
                 true);
  packer.address(byte + offsetof(SparsityArg, keys), "live keys", words(all, layout.live_keys),
                 true);
}

/// Statistic and escort, where the spec wants them.
void pack_entmax(Packer& packer, std::size_t byte, const Spec& spec, const Args& args) {
  const auto output = [&](std::size_t field, std::string_view name, const TensorView& view) {
    packer.write(byte + field, matrix(view));
    packer.address(byte + field + offsetof(MatrixArg, data), name, view, true);
  };
  if (spec.statistic) {
    output(offsetof(EntmaxArg, zmax), "zmax", args.zmax);
    output(offsetof(EntmaxArg, gap), "gap", args.gap);
  }
  if (spec.escort) output(offsetof(EntmaxArg, escort), "escort", args.escort);
}

}  // namespace

Packed pack(const Planned& planned, const Args& args, const ir::Call& call, std::int32_t q_tiles,
            void* report, const Splits& splits, const Lists* lists) {
  const std::size_t tail = !lists ? 0 : lists->phase ? sizeof(TileBuildArg) : sizeof(TileReadArg);
  Packed packed = room(planned, tail);
  Packer packer(packed);
  const std::size_t byte = pack_call(packer, planned, args, call, q_tiles, report, splits.count);
  packer.address(offsetof(CallArg, parts), "workspace", splits.parts, true);
  if (lists) pack_lists(packer, byte, planned.plan.spec, call.shape, *lists);
  return packed;
}

Packed pack(const Planned& planned, const Args& args, const ir::Call& call, const plan::Pass& pass,
            void* report, const Lists* lists, const Entmax& entmax) {
  const Spec& spec = planned.plan.spec;
  const bool threshold = pass.kind == plan::PassKind::threshold;
  const plan::Grid grid = plan::grid(pass, spec, call.shape);
  const std::size_t own = threshold ? sizeof(ThresholdArg) : sizeof(EntmaxArg);
  Packed packed = room(
      planned, (lists ? sizeof(TileReadArg) : 0) + own + (spec.sparsity ? sizeof(SparsityArg) : 0));
  Packer packer(packed);
  std::size_t byte = pack_call(packer, planned, args, call, grid.q_tiles, report, 1);
  if (lists) {
    pack_lists(packer, byte, spec, call.shape, *lists);
    byte += sizeof(TileReadArg);
  }
  const plan::EntmaxLayout& layout = entmax.layout;
  static_assert(offsetof(ThresholdArg, entmax) == 0);
  if (threshold) {
    ThresholdArg arg{};
    arg.groups = layout.live.groups;
    arg.blocks = static_cast<int>(grid.blocks);
    packer.write(byte, arg);
    const auto bytes = [&](std::size_t field, std::string_view name, std::uint64_t at,
                           std::uint64_t size) {
      packer.address(byte + field, name,
                     part(entmax.workspace, at, DType::i32, {static_cast<std::int64_t>(size / 4)}),
                     true);
    };
    bytes(offsetof(ThresholdArg, states), "states of live tiles",
          layout.live_at + layout.live.states.at, layout.live.states.bytes);
    bytes(offsetof(ThresholdArg, counts), "counts of live tiles",
          layout.live_at + layout.live.row_offsets.at, layout.live.row_offsets.bytes);
    bytes(offsetof(ThresholdArg, scratch), "candidates", layout.scratch.at, layout.scratch.bytes);
    bytes(offsetof(ThresholdArg, queue), "queue", layout.queue.at, layout.queue.bytes);
  }
  pack_statistic(packer, byte + offsetof(EntmaxArg, zmax), "zmax", args.zmax, layout.zmax, spec,
                 call, entmax);
  pack_statistic(packer, byte + offsetof(EntmaxArg, gap), "gap", args.gap, layout.gap, spec, call,
                 entmax);
  if (spec.escort) {
    packer.write(byte + offsetof(EntmaxArg, escort), matrix(args.escort));
    packer.address(byte + offsetof(EntmaxArg, escort.data), "escort", args.escort, true);
  }
  if (spec.sparsity) pack_sparsity(packer, byte + own, args.sparsity->state(), spec, call);
  return packed;
}

Packed pack(const Planned& planned, const Args& args, const ir::Call& call, const plan::Pass& pass,
            void* report, const Candidates& candidates) {
  const Spec& spec = planned.plan.spec;
  const plan::CandidateLayout& layout = candidates.layout;
  Packed packed = room(planned, sizeof(MaterialisedArg));
  Packer packer(packed);
  const std::int32_t q_tiles = plan::grid(pass, spec, call.shape).q_tiles;
  const std::size_t byte =
      pack_call(packer, planned, args, call, q_tiles, report, candidates.splits);
  MaterialisedArg arg{};
  arg.room = layout.room;
  packer.write(byte, arg);
  packer.address(byte + offsetof(MaterialisedArg, candidates), "candidates",
                 words(candidates.workspace, layout.candidates), true);
  packer.address(byte + offsetof(MaterialisedArg, found), "found",
                 words(candidates.workspace, layout.found), true);
  pack_entmax(packer, byte + offsetof(MaterialisedArg, entmax), spec, args);
  return packed;
}

Packed pack(const Planned& planned, const Args& args, const ir::Call& call, const plan::Pass& pass,
            void* report) {
  const Spec& spec = planned.plan.spec;
  Packed packed = room(planned, sizeof(EntmaxArg));
  Packer packer(packed);
  const std::int32_t q_tiles = plan::grid(pass, spec, call.shape).q_tiles;
  pack_entmax(packer, pack_call(packer, planned, args, call, q_tiles, report, 1), spec, args);
  return packed;
}

plan::Variant variant_of(const Args& args) {
  return {.aligned = rows_aligned(args.q) && rows_aligned(args.k) && rows_aligned(args.v) &&
                     rows_aligned(args.o) && rows_aligned(args.escort)};
}

}  // namespace lacuna::runtime
