#include "tests/runtime/tile_lists_fixture.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace lacuna::test {
namespace {

/// As tile_source writes it.
struct Params {
  CallArg call;
  TileBuildArg tiles;
  TensorArg tensor[2];
  std::int32_t number, unused;
};

std::size_t words(const plan::Buffer& buffer) {
  return static_cast<std::size_t>(buffer.bytes / 4);
}

CallArg call_arg(const TileCall& call, const plan::TileLists& lists) {
  CallArg arg{};
  const auto narrowed = [](std::int64_t x) { return static_cast<int>(x); };
  arg.batch = narrowed(call.shape.batch);
  arg.heads = narrowed(call.shape.heads);
  arg.kv_heads = narrowed(call.shape.kv_heads);
  arg.group = arg.heads / arg.kv_heads;
  arg.queries = narrowed(call.shape.queries);
  arg.keys = narrowed(call.shape.keys);
  arg.q_tiles = lists.q_tiles;
  arg.has_offset = call.has_offset;
  arg.offset = call.offset;
  arg.q_lens.stride = arg.k_lens.stride = arg.offsets.stride = 1;
  return arg;
}

TensorArg tensor_arg(const PatternTensor& tensor) {
  TensorArg arg{};
  std::fill_n(arg.extent, 6, 1);
  long long stride = 1;
  for (std::size_t axis = 4; axis-- > 0;) {
    arg.extent[axis] = tensor.extents[axis];
    arg.stride[axis] = tensor.extents[axis] == 1 ? 0 : stride;
    stride *= tensor.extents[axis];
  }
  return arg;
}

/// The regions of a launch and where their addresses stand in Params.
class Regions {
 public:
  explicit Regions(Params& params) : params_(params) {}
  void add(std::string_view name, std::vector<std::int32_t>& memory, unsigned long long& address,
           bool writable) {
    address = 0;
    if (memory.empty()) return;
    address = reinterpret_cast<unsigned long long>(memory.data());
    slots_.push_back({static_cast<std::uint32_t>(reinterpret_cast<std::byte*>(&address) -
                                                 reinterpret_cast<std::byte*>(&params_)),
                      static_cast<std::uint32_t>(regions_.size())});
    regions_.push_back({name,
                        TensorView::contiguous(memory.data(), DType::i32,
                                               {static_cast<std::int64_t>(memory.size())}),
                        writable});
  }
  runtime::Launch launch(std::uint64_t blocks) const {
    return {.blocks = blocks,
            .params = std::as_bytes(std::span(&params_, 1)),
            .slots = slots_,
            .regions = regions_};
  }

 private:
  Params& params_;
  std::vector<runtime::Region> regions_;
  std::vector<runtime::AddressSlot> slots_;
};

/// The sequences of one list, and their tile slots.
struct Sequence {
  Site site;
  int row_slot = 0, row_step = 1;  ///< of tile 0 of queries, and from tile to tile
  int column_slot = 0;
};

std::vector<Sequence> sequences(const TileCall& call, const plan::TileLists& lists, int b, int h) {
  std::vector<Sequence> all;
  const bool packed = call.lengths == Lengths::packed;
  const auto at = [](const std::vector<std::int32_t>& from, int i) {
    return from[static_cast<std::size_t>(i)];
  };
  for (int s = packed ? 0 : b; s < (packed ? static_cast<int>(call.shape.batch) : b + 1); ++s) {
    Sequence one{{.b = s, .h = h}};
    Site& site = one.site;
    if (packed) {
      site.q_start = at(call.q_lens, s);
      site.k_start = at(call.k_lens, s);
      site.q_len = at(call.q_lens, s + 1) - site.q_start;
      site.k_len = at(call.k_lens, s + 1) - site.k_start;
      one.row_slot = site.q_start / call.tile_q + s;
      one.column_slot = site.k_start / call.tile_k + s;
    } else {
      site.q_len = call.q_lens.empty() ? static_cast<int>(call.shape.queries) : at(call.q_lens, s);
      site.k_len = call.k_lens.empty() ? static_cast<int>(call.shape.keys) : at(call.k_lens, s);
      one.row_slot = lists.q_tiles - 1;
      one.row_step = -1;
    }
    site.offset = !call.offsets.empty() ? at(call.offsets, s)
                  : call.has_offset     ? call.offset
                                        : site.k_len - site.q_len;
    all.push_back(one);
  }
  return all;
}

Share brute_force(const TilePattern& pattern, const PatternData& data, const Site& site, int q0,
                  int q1, int k0, int k1) {
  bool any = false, all = true;
  for (int q = q0; q <= q1; ++q)
    for (int k = k0; k <= k1; ++k) {
      const bool live = pattern.live(data, site, q, k);
      any |= live;
      all &= live;
    }
  return all ? Share::all : any ? Share::some : Share::none;
}

/// FULL and PARTIAL tiles of every row of a list set.
struct Drawn {
  std::vector<std::vector<std::int32_t>> full, partial;
  explicit Drawn(int rows)
      : full(static_cast<std::size_t>(rows)), partial(static_cast<std::size_t>(rows)) {}
  void add(int row, int tile, bool is_full) {
    (is_full ? full : partial)[static_cast<std::size_t>(row)].push_back(tile);
  }
  ListSet listed() {
    ListSet set;
    for (std::size_t r = 0; r < full.size(); ++r)
      for (auto* part : {&full[r], &partial[r]}) {
        set.offsets.push_back(static_cast<std::int32_t>(set.indices.size()));
        std::sort(part->begin(), part->end());
        set.indices.insert(set.indices.end(), part->begin(), part->end());
      }
    set.offsets.push_back(static_cast<std::int32_t>(set.indices.size()));
    set.order = expected_order(set.offsets);
    return set;
  }
};

void draw(const TileCall& call, const Sequence& sequence, int first_row, int first_column,
          Drawn& rows, Drawn& columns) {
  const Site& site = sequence.site;
  for (int q0 = 0, i = 0; q0 < site.q_len; q0 += call.tile_q, ++i)
    for (int k0 = 0, j = 0; k0 < site.k_len; k0 += call.tile_k, ++j) {
      const int q1 = std::min(q0 + call.tile_q, site.q_len) - 1,
                k1 = std::min(k0 + call.tile_k, site.k_len) - 1;
      const TilePattern& pattern = *call.pattern;
      const Share share = pattern.decide ? pattern.decide(call.data, site, q0, q1, k0, k1)
                                         : brute_force(pattern, call.data, site, q0, q1, k0, k1);
      if (share == Share::none) continue;
      // A tile with keys that do not exist is not FULL: its reader tells them apart only in others.
      const bool full = share == Share::all && k0 + call.tile_k <= site.k_len;
      rows.add(first_row + sequence.row_slot + sequence.row_step * i, j, full);
      columns.add(first_column + sequence.column_slot + j, i, full);
    }
}

}  // namespace

Extents TileCall::extents() const {
  return {lengths == Lengths::packed ? 1 : static_cast<int>(shape.batch),
          static_cast<int>(shape.heads), static_cast<int>(shape.queries),
          static_cast<int>(shape.keys)};
}

plan::TileLists TileCall::lists() const {
  plan::Pass pass;
  pass.schedule.tile_q = tile_q;
  pass.schedule.tile_k = tile_k;
  const Spec spec{.pattern = Pattern::parse("attention x { }"), .lengths = lengths};
  plan::TileLists lists = plan::tile_lists(pass, spec, shape,
                                           {.by_batch = pattern->by_batch || !offsets.empty(),
                                            .by_head = pattern->by_head,
                                            .key_values = pattern->key_values,
                                            .transposed = true});
  if (parts > 0) lists.parts = parts;
  return lists;
}

codegen::Source tile_list_source(const TilePattern& pattern, Lengths lengths, int tile_q,
                                 int tile_k) {
  const char* const names[] = {"uniform", "padded", "packed"};
  return {.name = pattern.name + ".cu",
          .entry = "build",
          .text = tile_source(pattern, names[static_cast<int>(lengths)], tile_q, tile_k),
          .threads = tile_list_threads,
          .shared_bytes = tile_list_shared_bytes,
          .param_bytes = sizeof(Params)};
}

TileRun::TileRun(const TileCall& call, Memory memory) : call_(call), lists_(call.lists()) {
  const auto rubbish = [](const plan::Buffer& buffer) {
    return Words(words(buffer), static_cast<std::int32_t>(0xcdcdcdcd));
  };
  row_offsets_ = rubbish(lists_.row_offsets);
  row_order_ = rubbish(lists_.row_order);
  spare_ = rubbish(lists_.spare_order);
  if (memory == Memory::order) return;
  row_indices_ = rubbish(lists_.row_indices);
  column_offsets_ = rubbish(lists_.column_offsets);
  column_indices_ = rubbish(lists_.column_indices);
  column_order_ = rubbish(lists_.column_order);
  spans_ = rubbish(lists_.spans);
  states_ = rubbish(lists_.states);
}

runtime::host::Statistics TileRun::launch(const runtime::Kernel& kernel, TilePhase phase) {
  const std::uint64_t blocks = plan::blocks(lists_, phase);
  if (blocks == 0) return {};
  Params params{};
  params.call = call_arg(call_, lists_);
  params.tiles = plan::build_arg(lists_, 0, phase);
  params.number = call_.data.number;
  Regions regions(params);
  TileBuildArg& tiles = params.tiles;
  regions.add("row offsets", row_offsets_, tiles.rows.offsets, true);
  regions.add("row indices", row_indices_, tiles.rows.indices, true);
  regions.add("row order", row_order_, tiles.rows.order, true);
  regions.add("column offsets", column_offsets_, tiles.columns.offsets, true);
  regions.add("column indices", column_indices_, tiles.columns.indices, true);
  regions.add("column order", column_order_, tiles.columns.order, true);
  regions.add("spans", spans_, tiles.spans, true);
  regions.add("states", states_, tiles.states, true);
  regions.add("spare order", spare_, tiles.order, true);
  TileCall call = call_;
  regions.add("q_lens", call.q_lens, params.call.q_lens.data, false);
  regions.add("k_lens", call.k_lens, params.call.k_lens.data, false);
  regions.add("offsets", call.offsets, params.call.offsets.data, false);
  for (std::size_t t = 0; t < 2; ++t) {
    params.tensor[t] = tensor_arg(call.data.tensors[t]);
    regions.add(t ? "tensor 1" : "tensor 0", call.data.tensors[t].values, params.tensor[t].data,
                false);
  }
  return runtime::host::launch_counted(kernel, regions.launch(blocks));
}

BothLists TileRun::run(const runtime::Kernel& kernel) {
  for (const TilePhase phase : tile_phases) launch(kernel, phase);
  return result();
}

BothLists TileRun::result() const {
  const auto set = [](const Words& offsets, const Words& indices, const Words& order) {
    const auto count =
        std::clamp<std::int64_t>(offsets.back(), 0, static_cast<std::int64_t>(indices.size()));
    return ListSet{offsets, Words(indices.begin(), indices.begin() + count), order};
  };
  return {set(row_offsets_, row_indices_, row_order_),
          set(column_offsets_, column_indices_, column_order_)};
}

BothLists expected_lists(const TileCall& call) {
  const plan::TileLists lists = call.lists();
  Drawn rows(lists.rows), columns(lists.columns);
  for (int b = 0; b < lists.list_batch; ++b)
    for (int h = 0; h < lists.list_heads; ++h) {
      const int list = b * lists.list_heads + h;
      for (const Sequence& sequence : sequences(call, lists, b, h))
        draw(call, sequence, list * lists.q_tiles, list * lists.k_tiles, rows, columns);
    }
  return {rows.listed(), columns.listed()};
}

std::vector<std::int32_t> expected_order(const std::vector<std::int32_t>& offsets) {
  std::vector<std::int32_t> order(offsets.size() / 2);
  std::iota(order.begin(), order.end(), 0);
  const auto length = [&offsets](std::int32_t row) {
    const auto at = static_cast<std::size_t>(2 * row);
    return offsets[at + 2] - offsets[at];
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return length(a) > length(b); });
  return order;
}

}  // namespace lacuna::test
