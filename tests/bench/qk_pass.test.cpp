// bench/probe/qk_pass.cu as NVRTC compiles it, on the host device, against every score worked out
// one by one.
#include "lacuna/error.hpp"

#include "runtime/compiler.h"
#include "runtime/host/host_device.h"
#include "tests/catch.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <fstream>
#include <sstream>
#include <vector>

namespace {

using namespace lacuna;
using namespace lacuna::runtime;

struct Params {
  std::uint64_t q, k, gate, top, hits, seen;
  std::int32_t rows, causal;
};

struct Variant {
  int head_dim, m_tiles, warps;
  int tile_q() const { return m_tiles * warps * 16; }
};
constexpr Variant variants[] = {{64, 2, 4}, {128, 2, 4}, {64, 1, 8}, {128, 2, 8}, {64, 1, 4}};

std::shared_ptr<const Compiler> nvrtc() {
  try {
    return open_nvrtc();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    WARN("skipped: " << error.what());
    return nullptr;
  }
}

/// A text that stands once in the kernels, and what stands there instead.
struct Edit {
  std::string from, to;
};

codegen::Source source_of(const Variant& variant, const std::string& entry, const Edit& edit = {}) {
  std::ifstream file("bench/probe/qk_pass.cu");
  REQUIRE(file);
  std::ostringstream text;
  text << fmt::format("#define HEAD_DIM {}\n#define M_TILES {}\n#define WARPS {}\n",
                      variant.head_dim, variant.m_tiles, variant.warps)
       << file.rdbuf();
  std::string source = text.str();
  if (!edit.from.empty()) {
    const std::size_t at = source.find(edit.from);
    REQUIRE(at != source.npos);
    REQUIRE(source.find(edit.from, at + 1) == source.npos);
    source.replace(at, edit.from.size(), edit.to);
  }
  const int stages = 3 * 64 * variant.head_dim * 2;
  return {.name = "qk_pass.cu",
          .entry = entry,
          .text = source,
          .threads = variant.warps * 32,
          .shared_bytes = std::max(stages, variant.tile_q() * variant.head_dim * 2),
          .param_bytes = sizeof(Params)};
}

/// Multiples of 1/8 up to 1: products and their sums are exact in f32, in any order.
std::vector<std::uint16_t> random_bf16(std::mt19937& random, std::size_t count) {
  std::vector<std::uint16_t> values(count);
  for (auto& value : values) {
    const float x = static_cast<float>(static_cast<int>(random() % 17) - 8) / 8.0f;
    value = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16);
  }
  return values;
}
float wide(std::uint16_t x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

struct Case {
  Variant variant;
  int heads, rows, causal;
  std::vector<std::uint16_t> q, k;
  std::vector<float> gate;

  float score(int head, int query, int key) const {
    const std::size_t d = static_cast<std::size_t>(variant.head_dim);
    const std::size_t base = static_cast<std::size_t>(head) * static_cast<std::size_t>(rows);
    float sum = 0;
    for (std::size_t i = 0; i < d; ++i)
      sum += wide(q[(base + static_cast<std::size_t>(query)) * d + i]) *
             wide(k[(base + static_cast<std::size_t>(key)) * d + i]);
    return sum;
  }
  int keys_of(int query) const { return causal ? query + 1 : rows; }
};

struct Expected {
  std::vector<float> top;
  std::vector<std::uint32_t> hits, seen;
};

/// `sparse`: most rows have no hit, so that hits are alone in their tiles.
Case random_case(std::mt19937& random, const Variant& variant, bool sparse) {
  Case c{variant, 1 + static_cast<int>(random() % 2),
         variant.tile_q() * (1 + static_cast<int>(random() % 2)), static_cast<int>(random() % 2)};
  const std::size_t count = static_cast<std::size_t>(c.heads * c.rows);
  c.q = random_bf16(random, count * static_cast<std::size_t>(variant.head_dim));
  c.k = random_bf16(random, count * static_cast<std::size_t>(variant.head_dim));
  for (std::size_t row = 0; row < count; ++row) {
    // Mostly at the row's best score, so that a hit is alone in its fragment and equality occurs;
    // at any score; between two; below all; above all.
    const int head = static_cast<int>(row) / c.rows, query = static_cast<int>(row) % c.rows;
    float best = -1e30f;
    for (int key = 0; key < c.keys_of(query); ++key)
      best = std::max(best, c.score(head, query, key));
    const float any =
        c.score(head, query, static_cast<int>(random() % static_cast<unsigned>(c.keys_of(query))));
    const float choices[] = {any, best + 1.0f / 128, -1e4f, 1e4f};
    const unsigned kind = random() % 64;
    c.gate.push_back(sparse && random() % 8      ? 1e4f
                     : kind < std::size(choices) ? choices[kind]
                                                 : best);
  }
  return c;
}

Expected work_out(const Case& c) {
  const int tile_q = c.variant.tile_q(), tiles = c.rows / tile_q,
            warp_rows = c.variant.m_tiles * 16;
  Expected e;
  e.seen.resize(static_cast<std::size_t>(2 * c.heads * tiles * c.variant.warps));
  for (int head = 0; head < c.heads; ++head)
    for (int first = 0; first < c.rows; first += warp_rows) {
      const int block = head * tiles + tiles - 1 - first / tile_q;
      const int warp = first % tile_q / warp_rows;
      std::vector<bool> tile_hit(static_cast<std::size_t>(c.rows / 64));
      std::vector<bool> fragment_hit(static_cast<std::size_t>(c.rows / 8 * c.variant.m_tiles));
      for (int row = first; row < first + warp_rows; ++row) {
        float top = -1e30f;
        std::uint32_t hits = 0;
        for (int key = 0; key < c.keys_of(row); ++key) {
          const float x = c.score(head, row, key);
          top = std::max(top, x);
          if (x < c.gate[static_cast<std::size_t>(head * c.rows + row)]) continue;
          ++hits;
          tile_hit[static_cast<std::size_t>(key / 64)] = true;
          fragment_hit[static_cast<std::size_t>(key / 8 * c.variant.m_tiles + (row - first) / 16)] =
              true;
        }
        e.top.push_back(top);
        e.hits.push_back(hits);
      }
      std::uint32_t* seen = &e.seen[static_cast<std::size_t>(2 * (block * c.variant.warps + warp))];
      seen[0] = static_cast<std::uint32_t>(std::count(tile_hit.begin(), tile_hit.end(), true));
      seen[1] =
          static_cast<std::uint32_t>(std::count(fragment_hit.begin(), fragment_hit.end(), true));
    }
  return e;
}

template <class T>
TensorView view(std::vector<T>& values, DType dtype) {
  return TensorView::contiguous(values.data(), dtype, {static_cast<std::int64_t>(values.size())});
}

/// Launches one of the two kernels over outputs that nobody wrote yet.
Expected run(const Kernel& kernel, Case& c) {
  const std::size_t count = c.gate.size();
  const int blocks = c.heads * c.rows / c.variant.tile_q();
  Expected got{
      std::vector<float>(count, 777.0f), std::vector<std::uint32_t>(count, 777),
      std::vector<std::uint32_t>(static_cast<std::size_t>(2 * blocks * c.variant.warps), 777)};
  const auto address = [](const auto& v) { return reinterpret_cast<std::uint64_t>(v.data()); };
  const Params params{address(c.q),      address(c.k),      address(c.gate), address(got.top),
                      address(got.hits), address(got.seen), c.rows,          c.causal};
  const Region regions[] = {{"q", view(c.q, DType::bf16)},
                            {"k", view(c.k, DType::bf16)},
                            {"gate", view(c.gate, DType::f32)},
                            {"top", view(got.top, DType::f32), true},
                            {"hits", view(got.hits, DType::i32), true},
                            {"seen", view(got.seen, DType::i32), true}};
  const AddressSlot slots[] = {{offsetof(Params, q), 0},    {offsetof(Params, k), 1},
                               {offsetof(Params, gate), 2}, {offsetof(Params, top), 3},
                               {offsetof(Params, hits), 4}, {offsetof(Params, seen), 5}};
  kernel.launch({.blocks = static_cast<std::uint64_t>(blocks),
                 .params = std::as_bytes(std::span(&params, 1)),
                 .slots = slots,
                 .regions = regions});
  return got;
}

}  // namespace

namespace {

/// With every check there is and copies early and late, or without: what a GPU does not forgive.
std::shared_ptr<const Device> device(bool checked) {
  return host::open_host(
      {.checks = checked ? host::Checks::all() : host::Checks{}, .every_order = checked});
}

/// What is wrong with a kernel on that case: a fault that the device finds, or values; "" if
/// nothing.
std::string wrong(const Compiler& compiler, const Device& device, const std::string& entry, Case& c,
                  const Edit& edit = {}) {
  const auto kernel =
      device.load(compiler.compile(source_of(c.variant, entry, edit), {.arch = {80}}));
  const Expected expected = work_out(c);
  try {
    const Expected got = run(*kernel, c);
    if (entry == "row_max") return got.top == expected.top ? "" : "row maxima";
    return got.hits != expected.hits ? "hits" : got.seen != expected.seen ? "what was seen" : "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("the probe's passes give the row maximum and the hits above a gate, exactly") {
  const auto compiler = nvrtc();
  if (!compiler) return;
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  for (const Variant& variant : variants)
    for (const bool checked : {false, true}) {
      Case c = random_case(random, variant, random() % 2);
      INFO("D=" << variant.head_dim << " M_TILES=" << variant.m_tiles << " WARPS=" << variant.warps
                << " heads=" << c.heads << " rows=" << c.rows << " causal=" << c.causal
                << (checked ? ", checked" : ""));
      CHECK(wrong(*compiler, *device(checked), "row_max", c) == "");
      CHECK(wrong(*compiler, *device(checked), "gate_hits", c) == "");
    }
}

TEST_CASE("a mistake in the probe's passes is noticed") {
  const auto compiler = nvrtc();
  if (!compiler) return;
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  Case c = random_case(random, variants[0], true);
  while (!c.causal || c.heads == 1 || c.rows == c.variant.tile_q())
    c = random_case(random, variants[0], true);
  const struct {
    const char* entry;
    Edit edit;
  } mistakes[] = {
      {"row_max", {"    wait<1>();\n    __syncthreads();", "    wait<2>();\n    __syncthreads();"}},
      {"row_max", {"    wait<1>();\n    __syncthreads();", "    wait<1>();"}},
      {"row_max", {"  wait<0>();\n  __syncthreads();", "  __syncthreads();"}},
      {"row_max", {"load(tile + 2, writing)", "load(tile + 1, writing)"}},
      {"row_max", {"if (p.causal) mask_later_keys", "if (false) mask_later_keys"}},
      {"row_max",
       {"f * 8 + at.lane % 4 * 2 + e % 2 > row", "f * 8 + at.lane % 4 * 2 + e % 2 >= row"}},
      {"row_max", {"(p.causal ? at.first_query + tile_q : p.rows)", "(p.rows + tile_k)"}},
      {"gate_hits", {"bits(2)) & bits(3)", "bits(2))"}},
      {"gate_hits", {"all = and3(all, below[m][f - 1], below[m][f])", "all = all & below[m][f]"}},
      {"gate_hits", {"(int)below[m][f] >= 0", "(int)below[m][f] > 0"}},
  };
  for (const auto& [entry, edit] : mistakes) {
    const std::string noticed = wrong(*compiler, *device(true), entry, c, edit);
    INFO(edit.from << " -> " << edit.to << ": " << noticed);
    CHECK(noticed != "");
  }
}
