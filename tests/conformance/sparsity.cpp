#include "tests/conformance/sparsity.h"

#include "compiler/ir/element.h"
#include "compiler/ir/reference.h"
#include "compiler/plan/entmax.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace lacuna::tests {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// f64 scores of every pair, -inf where it does not attend: [rows of Q][keys].
std::vector<double> scores(const Spec& spec, const fuzz::OwnedCall& call) {
  Spec softmax = plan::softmax_of(spec);
  softmax.statistic = false;
  softmax.value_dim = 128;
  Args args = call.args;
  const std::int64_t keys = args.k.shape[2],
                     rows = args.q.shape[0] * args.q.shape[1] * args.q.shape[2];
  std::vector<double> z(static_cast<std::size_t>(rows * keys), -infinity);
  for (std::int64_t first = 0; first < keys; first += 128) {
    std::vector<std::uint32_t> memory(static_cast<std::size_t>(keys * 128));
    args.v = TensorView::contiguous(memory.data(), spec.dtype, {1, 1, keys, 128});
    args.v.shape[0] = args.k.shape[0], args.v.shape[1] = args.k.shape[1];
    args.v.strides[0] = args.v.strides[1] = 0;
    for (std::int64_t k = first; k < std::min(first + 128, keys); ++k)
      ir::store_real(spec.dtype, memory.data(), k * 128 + k - first, 1);
    const ir::Reference found = ir::forward(softmax, args);
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t k = first; k < std::min(first + 128, keys); ++k)
        z[row * keys + k] = std::log(found.o[row * 128 + k - first]) + found.lse[row];
  }
  return z;
}

/// Where a row of Q stands.
struct Row {
  std::int64_t head, tile, first_key, keys;
  bool exists;
};

std::int64_t at(const TensorView& vector, std::int64_t i) {
  return static_cast<const std::int32_t*>(vector.data)[i * vector.strides[0]];
}

Row row_of(const Spec& spec, const Args& args, const SparsityRows& found, std::int64_t flat) {
  const std::int64_t heads = args.q.shape[1], queries = args.q.shape[2], i = flat % queries;
  Row row{flat / queries % heads, 0, 0, args.k.shape[2], true};
  const std::int64_t b = flat / queries / heads;
  row.tile = (b * heads + row.head) * found.q_tiles + i / found.tile_q;
  if (spec.lengths == Lengths::padded) {
    if (args.q_lens.present()) row.exists = i < at(args.q_lens, b);
    if (args.k_lens.present()) row.keys = at(args.k_lens, b);
  } else if (spec.lengths == Lengths::packed) {
    std::int64_t s = 0;
    while (at(args.cu_seqlens_q, s + 1) <= i) ++s;
    const std::int64_t begin = at(args.cu_seqlens_q, s);
    row.tile = row.head * found.q_tiles + begin / found.tile_q + s + (i - begin) / found.tile_q;
    row.first_key = at(args.cu_seqlens_k, s);
    row.keys = at(args.cu_seqlens_k, s + 1) - row.first_key;
  }
  return row;
}

/// x of each key of a row: c z - τ.
std::vector<double> distances(const double* z, std::int64_t keys, double alpha) {
  const double c = alpha - 1, zmax = *std::max_element(z, z + keys);
  double low = 0, high = 1;
  for (int n = 0; n < 80; ++n) {
    const double t = (low + high) / 2;
    double sum = 0;
    for (std::int64_t k = 0; k < keys; ++k)
      sum += std::pow(std::max(0.0, c * (z[k] - zmax) + t), 1 / c);
    (sum > 1 ? high : low) = t;
  }
  std::vector<double> x;
  for (std::int64_t k = 0; k < keys; ++k) x.push_back(c * (z[k] - zmax) + high);
  return x;
}

double alpha_of(const Spec& spec, const fuzz::OwnedCall& call, std::int64_t head) {
  for (const NamedValue& param : call.params)
    if (param.name == "alpha_") return std::get<float>(param.value);
  for (const NamedTensor& tensor : call.tensors)
    if (tensor.name == "alpha_") return static_cast<const float*>(tensor.view.data)[head];
  const ir::Pattern& pattern = spec.pattern.tree();
  return pattern.graph.float_value(pattern.weights.alpha);
}

class Checking {
 public:
  Checking(const plan::Plan& plan, const fuzz::OwnedCall& call, const SparsityRows& found)
      : spec_(plan.spec), call_(call), found_(found), z_(scores(plan.spec, call)) {
    const plan::Pass& accumulate = plan.passes[plan::accumulate_at];
    one_walk_ = plan::takes_one_walk(accumulate.machine, spec_, accumulate.schedule);
  }

  /// "" or what is wrong.
  std::string run(ListedKeys& lists) {
    const std::size_t tiles = found_.live_tiles.size();
    weighed_.resize(tiles), flat_.resize(tiles);
    if (found_.offsets.size() != tiles + 1) return "offsets are not one more than tiles";
    for (std::size_t row = 0; row < found_.passes.size(); ++row)
      if (found_.support[row] > 0 && found_.candidates[row] == 0)
        flat_[tile_of(static_cast<std::int64_t>(row))] = true;
    for (std::size_t row = 0; row < found_.passes.size(); ++row) {
      const std::string wrong = check_row(static_cast<std::int64_t>(row));
      if (!wrong.empty()) return fmt::format("row {}: {}", row, wrong);
    }
    for (std::size_t tile = 0; tile < tiles; ++tile) {
      const std::string wrong = check_tile(tile, lists);
      if (!wrong.empty()) return fmt::format("tile {}: {}", tile, wrong);
    }
    return "";
  }

 private:
  std::size_t tile_of(std::int64_t row) const {
    return static_cast<std::size_t>(row_of(spec_, call_.args, found_, row).tile);
  }

  std::string check_row(std::int64_t flat) {
    const Row row = row_of(spec_, call_.args, found_, flat);
    const auto i = static_cast<std::size_t>(flat);
    const int passes = found_.passes[i], candidates = found_.candidates[i],
              support = found_.support[i];
    const float residual = found_.residual[i];
    const double alpha = alpha_of(spec_, call_, row.head);
    if (!row.exists || alpha == 1)
      return passes || candidates || support || residual != 0 ? "is not 0" : "";
    const double* const z = z_.data() + flat * call_.args.k.shape[2] + row.first_key;
    if (row.keys == 0 || *std::max_element(z, z + row.keys) == -infinity)
      return candidates || support || residual != 0 ? "sees no key, and is not 0" : "";
    const std::vector<double> x = distances(z, row.keys, alpha);
    // Scores of 16 products in f32, gaps to 2^-9 of them where all scores were taken.
    const double gap = *std::max_element(x.begin(), x.end()), near = 1e-5 + 0x1p-9 * gap;
    const auto above = [&](double limit) {
      return std::count_if(x.begin(), x.end(), [&](double one) { return one > limit; });
    };
    if (support < above(near) || support > above(-near))
      return fmt::format("support {}, expected {} to {}", support, above(near), above(-near));
    if (candidates != 0 && candidates < support)
      return fmt::format("{} candidates for a support of {}", candidates, support);
    const auto tile = static_cast<std::size_t>(row.tile);
    const int least = (flat_[tile] ? 3 : 2) + (spec_.escort && !one_walk_ ? 1 : 0),
              most = spec_.dtype != DType::f32 ? least : least + 2;
    if (passes < least || passes > (flat_[tile] ? 29 : most))
      return fmt::format("{} passes, {} candidates", passes, candidates);
    if (!(residual <= 0x1p-9 / (alpha - 1))) return fmt::format("residual {}", residual);
    for (std::size_t k = 0; k < x.size(); ++k)
      if (x[k] > 0) weighed_[tile].insert(static_cast<std::int32_t>(k));
    return "";
  }

  std::string check_tile(std::size_t tile, ListedKeys& lists) {
    const auto begin = found_.keys.begin() + found_.offsets[tile],
               end = found_.keys.begin() + found_.offsets[tile + 1];
    if (std::adjacent_find(begin, end, std::greater_equal<>()) != end) return "keys do not ascend";
    if (!std::includes(begin, end, weighed_[tile].begin(), weighed_[tile].end()))
      return "a key that has a weight is not listed";
    std::set<std::int32_t> tiles;
    for (auto key = begin; key != end; ++key) tiles.insert(*key / found_.tile_k);
    // Of flat rows keys are listed by gates that lie nearer than those that left the tiles.
    const auto in_tiles = static_cast<std::int32_t>(tiles.size());
    if (flat_[tile] ? in_tiles > found_.live_tiles[tile] : in_tiles != found_.live_tiles[tile])
      return fmt::format("keys lie in {} tiles, {} are live", tiles.size(),
                         found_.live_tiles[tile]);
    const auto weighed = static_cast<std::int64_t>(weighed_[tile].size());
    (flat_[tile] ? lists.of_dense : lists.listed) += end - begin;
    (flat_[tile] ? lists.weighed_of_dense : lists.weighed) += weighed;
    return "";
  }

  const Spec& spec_;
  const fuzz::OwnedCall& call_;
  const SparsityRows& found_;
  std::vector<double> z_;
  bool one_walk_;
  std::vector<std::set<std::int32_t>> weighed_;  ///< keys of each tile
  std::vector<bool> flat_;                       ///< a row of it was not solved among candidates
};

}  // namespace

std::string wrong_sparsity(const plan::Plan& plan, const fuzz::OwnedCall& call,
                           const SparsityRows& found, ListedKeys& lists) {
  return Checking(plan, call, found).run(lists);
}

}  // namespace lacuna::tests
