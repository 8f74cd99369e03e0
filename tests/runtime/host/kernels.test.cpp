// Whole kernels as compilers write them, against plain C++. The .ptx files are what clang 19 makes
// of the .cu beside them; where an NVRTC is found, its PTX of the same source must give the same
// bits.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/nvrtc.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lacuna::runtime::host::test {
namespace {

constexpr int D = 64, tile = 64;

struct AttentionParams {
  std::uint64_t q, k, v, o;
  int queries, keys;
  float scale;
  int tiles;
};

struct Attention {
  int heads, queries, keys, told_keys;
  std::vector<float> q, k, v;

  Attention(int heads, int queries, int keys, std::mt19937& random)
      : heads(heads), queries(queries), keys(keys), told_keys(keys) {
    std::normal_distribution<float> normal;
    for (auto [values, rows] : {std::pair(&q, queries), std::pair(&k, keys), std::pair(&v, keys)}) {
      values->resize(static_cast<std::size_t>(heads * rows * D));
      for (float& value : *values) value = normal(random);
    }
  }

  std::vector<float> run(const std::string& ptx, Isa isa, int workers, const Checks& checks = {}) {
    std::vector<float> o(q.size(), NAN);
    Artifact artifact;
    artifact.payload = ptx;
    artifact.entry = "attention";
    artifact.threads = 256;
    artifact.shared_bytes = (3 * D * (tile + 4) + tile * D) * 4;
    artifact.param_bytes = sizeof(AttentionParams);
    const int tiles = (queries + tile - 1) / tile;
    const AttentionParams params{1, 1, 1, 1, queries, told_keys, 0.125f, tiles};
    const auto view = [&](std::vector<float>& values, int rows) {
      return TensorView::contiguous(values.data(), DType::f32, {heads, rows, D});
    };
    const Region regions[] = {{"q", view(q, queries)},
                              {"k", view(k, keys)},
                              {"v", view(v, keys)},
                              {"o", view(o, queries), true}};
    const AddressSlot slots[] = {{0, 0}, {8, 1}, {16, 2}, {24, 3}};
    const Launch launch{.blocks = static_cast<std::uint64_t>(heads * tiles),
                        .params = std::as_bytes(std::span(&params, 1)),
                        .slots = slots,
                        .regions = regions};
    open_host(
        HostOptions{.threads = workers, .isa = isa, .checks = checks, .every_order = checks.any()})
        ->load(artifact)
        ->launch(launch);
    return o;
  }

  double worst_error(const std::vector<float>& o) const {
    double worst = 0;
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < queries; ++i) {
        const int visible = std::clamp(i + keys - queries + 1, 0, keys);
        std::vector<double> z(static_cast<std::size_t>(visible));
        double top = -INFINITY, sum = 0;
        for (int j = 0; j < visible; ++j) {
          for (int x = 0; x < D; ++x)
            z[j] += double{q[(h * queries + i) * D + x]} * k[(h * keys + j) * D + x];
          top = std::max(top, z[j] *= 0.125);
        }
        for (double& p : z) sum += p = std::exp(p - top);
        for (int x = 0; x < D; ++x) {
          double y = 0;
          for (int j = 0; j < visible; ++j) y += z[j] * v[(h * keys + j) * D + x];
          const double got = o[(h * queries + i) * D + x];
          const double error = std::fabs(got - (visible == 0 ? 0 : y / sum));
          worst = std::isnan(got) ? INFINITY : std::max(worst, error);
        }
      }
    return worst;
  }
};

struct MixtureResult {
  std::vector<int> out;
  std::uint32_t total = 0;
  bool operator==(const MixtureResult&) const = default;
};

MixtureResult run_mixture(const std::string& ptx, std::vector<int> in, Isa isa,
                          const Checks& checks = {}) {
  MixtureResult result{.out = std::vector<int>(in.size(), -1)};
  struct Params {
    std::uint64_t in, out, total;
    std::int64_t n;
  };
  Artifact artifact;
  artifact.payload = ptx;
  artifact.entry = "mixture";
  artifact.threads = 128;
  artifact.param_bytes = sizeof(Params);
  const Params params{1, 1, 1, static_cast<int>(in.size())};
  const auto view = [](auto& values) {
    return TensorView::contiguous(values.data(), DType::i32,
                                  {static_cast<std::int64_t>(values.size())});
  };
  std::vector<std::uint32_t> total(1, 0);
  const Region regions[] = {
      {"in", view(in)}, {"out", view(result.out), true}, {"total", view(total), true}};
  const AddressSlot slots[] = {{0, 0}, {8, 1}, {16, 2}};
  const Launch launch{.blocks = (in.size() + 127) / 128,
                      .params = std::as_bytes(std::span(&params, 1)),
                      .slots = slots,
                      .regions = regions};
  open_host(HostOptions{.threads = 2, .isa = isa, .checks = checks, .every_order = checks.any()})
      ->load(artifact)
      ->launch(launch);
  result.total = total[0];
  return result;
}

MixtureResult expected_mixture(const std::vector<int>& in) {
  static constexpr int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
  MixtureResult result;
  const std::size_t blocks = (in.size() + 127) / 128;
  for (std::size_t b = 0; b < blocks; ++b) {
    int x[128], steps[128] = {}, peak[128] = {}, count[4] = {}, odd[4] = {};
    for (int t = 0; t < 128; ++t) {
      x[t] = b * 128 + t < in.size() ? in[b * 128 + t] : 1;
      for (std::uint32_t y = static_cast<std::uint32_t>(x[t]); y != 1; ++steps[t]) {
        y = y & 1 ? 3 * y + 1 : y >> 1;
        peak[t] = std::max(peak[t], static_cast<int>(y & 0xffff));
      }
      result.total += static_cast<std::uint32_t>(steps[t]);
      odd[t / 32] += steps[t] & 1;
      if (steps[t] > 20) ++count[steps[t] & 3];
    }
    for (int t = 0; t < 128 && b * 128 + t < in.size(); ++t) {
      const int other = static_cast<short>(steps[(t + 37) & 127]);
      std::uint32_t s = static_cast<std::uint32_t>(((x[t] * 7 + steps[t]) & 15) * x[t] + peak[t]);
      const int i = static_cast<int>(s);
      switch (x[t] % 7) {
        case 0:
          s += static_cast<std::uint32_t>(other);
          break;
        case 1:
          s ^= static_cast<std::uint32_t>(other << 3);
          break;
        case 2:
          s -= static_cast<std::uint32_t>(other * table[other & 7]);
          break;
        case 3:
          s = static_cast<std::uint32_t>(static_cast<long long>(i) * other >> 2);
          break;
        case 4:
          s = static_cast<std::uint32_t>(i / (other + 1));
          break;
        case 5:
          for (int j = 0; j < (other & 7); ++j) s = s * 3 + static_cast<std::uint32_t>(j);
          break;
        default:
          s %= static_cast<std::uint32_t>(other + 5);
          break;
      }
      result.out.push_back(
          static_cast<int>(s + static_cast<std::uint32_t>(odd[t / 32] * 1000003 + count[t & 3])));
    }
  }
  return result;
}

}  // namespace

TEST_CASE("an attention kernel of clang gives attention, the same bits on every instruction set") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const std::string ptx = kernel_file("attention.ptx");
  for (auto [heads, queries, keys] : {std::tuple(2, 64, 64), std::tuple(1, 130, 67),
                                      std::tuple(3, 1, 200), std::tuple(1, 77, 300)}) {
    Attention attention(heads, queries, keys, random);
    const std::vector<float> o = attention.run(ptx, best_isa(), 2);
    CHECK(attention.worst_error(o) < 4e-6);
    for (Isa isa : present_isas()) CHECK(attention.run(ptx, isa, 1) == o);
  }
}

TEST_CASE("a mixture of control flow of clang does what C++ does") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::vector<int> in(1000);
  for (int& value : in) value = 1 + static_cast<int>(random() % 100000);
  const MixtureResult expected = expected_mixture(in);
  for (Isa isa : present_isas())
    CHECK(run_mixture(kernel_file("mixture.ptx"), in, isa) == expected);
}

TEST_CASE("NVRTC's PTX of the same kernels gives the same bits") {
  const auto attention_ptx = nvrtc_ptx("attention.cu");
  if (!attention_ptx) {
    WARN("no libnvrtc.so.13 opens here: skipped");
    return;
  }
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  Attention attention(2, 100, 171, random);
  const std::vector<float> o = attention.run(*attention_ptx, best_isa(), 1);
  CHECK(attention.worst_error(o) < 4e-6);
  CHECK(attention.run(kernel_file("attention.ptx"), best_isa(), 1) == o);
  std::vector<int> in(700);
  for (int& value : in) value = 1 + static_cast<int>(random() % 100000);
  for (Isa isa : present_isas())
    CHECK(run_mixture(*nvrtc_ptx("mixture.cu"), in, isa) == expected_mixture(in));
}

TEST_CASE("a kernel that is told of one key too many is stopped at its own line") {
  std::mt19937 random(1);
  Attention attention(1, 64, 64, random);
  attention.told_keys = 65;
  const std::string report =
      error_of([&] { attention.run(kernel_file("attention.ptx"), best_isa(), 1); });
  INFO(report);
  CHECK(report.find(
            "device: out-of-bounds read of 4 bytes in global memory at k[0,64,0], 4 bytes past the "
            "end of k (f32 [1,64,64]) "
            "(kernel 'attention', CTA 0, warp 0, lane 0, /src/attention.cu:30, ptx line ") == 0);
}

TEST_CASE(
    "checks of memory are silent on kernels of compilers, and notice each barrier taken away") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  Attention attention(1, 70, 150, random);
  const std::string ptx = kernel_file("attention.ptx");
  const std::vector<float> o = attention.run(ptx, best_isa(), 2);
  CHECK(attention.run(ptx, best_isa(), 2, Checks::all()) == o);
  std::vector<int> in(300);
  for (int& value : in) value = 1 + static_cast<int>(random() % 100000);
  const std::string other = kernel_file("mixture.ptx");
  CHECK(run_mixture(other, in, best_isa(), Checks::all()) == expected_mixture(in));

  const auto mutants = [](const std::string& text, auto run) {
    int barriers = 0;
    for (std::size_t at = text.find("bar.sync"); at != text.npos;
         at = text.find("bar.sync", at + 1)) {
      const std::size_t end = text.find(';', at) + 1;
      const std::string mutant = text.substr(0, at) + text.substr(end);
      const std::string report = error_of([&] { run(mutant); });
      INFO("barrier at byte " << at << ": " << report);
      CHECK((report.find("device: race: ") == 0 || report.find("device: uninitialised ") == 0));
      ++barriers;
    }
    return barriers;
  };
  CHECK(mutants(ptx, [&](const std::string& mutant) {
          attention.run(mutant, best_isa(), 1, Checks::all());
        }) > 2);
  CHECK(mutants(other, [&](const std::string& mutant) {
          run_mixture(mutant, in, best_isa(), Checks::all());
        }) > 0);
}

}  // namespace lacuna::runtime::host::test
