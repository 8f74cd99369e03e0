#include "tools/lacuna/bound.h"

#include "compiler/ir/bindings.h"
#include "compiler/ir/element.h"
#include "compiler/plan/inverse.h"
#include "tools/lacuna/bound_entmax.h"
#include "tools/lacuna/score_error.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <thread>

namespace lacuna::tool {
namespace {

constexpr double u = 0x1p-24;
constexpr double infinity = std::numeric_limits<double>::infinity();

double g(double terms) {
  return u * std::min(terms, 6 * std::sqrt(terms));
}

struct Rounding {
  double unit, tiny;
};
Rounding rounding_of(DType dtype) {
  if (dtype == DType::f16) return {0x1p-11, 0x1p-25};
  if (dtype == DType::bf16) return {0x1p-8, 0x1p-134};
  return {u, 0x1p-150};
}

struct Problem {
  const Spec& spec;
  const Args& args;
  const ir::Reference& reference;
  const ir::Pattern& pattern = spec.pattern.tree();
  bool packed = spec.lengths == Lengths::packed;
  bool unscored = plan::inverts(spec);
  bool carried = unscored || (spec.dtype != DType::f32 && pattern.score == ir::no_node);
  ir::Call call = ir::bind(spec, args, ir::Needs::inputs);
  std::vector<ir::Sequence> sequences = ir::sequences_of(spec, args, call);
  ir::CallBindings bindings{pattern, call, sequences, packed};
  Rounding out = rounding_of(spec.output.value_or(spec.dtype));
  /// Of the weights: tensor cores take them in the type of V. In f32 they are as they were.
  Rounding weight = spec.dtype == DType::f32 ? Rounding{0, 0} : rounding_of(spec.dtype);
};

/// One row of Q, K or V.
struct Row {
  const TensorView& view;
  std::int64_t start;
  double operator[](std::int64_t i) const {
    return ir::load_real(view.dtype, view.data, start + i);
  }
};

class Worker {
 public:
  Worker(const Problem& problem, Bounds& bounds)
      : problem_(problem),
        bounds_(bounds),
        evaluator_(problem.pattern.graph, problem.bindings),
        score_error_(problem.pattern.graph, evaluator_) {}

  void head(std::int64_t b, std::int64_t h) {
    batch_ = problem_.packed ? 0 : b;
    sequence_ = &problem_.sequences[b];
    const Shape& shape = problem_.call.shape;
    site_.b = static_cast<std::int32_t>(b);
    site_.h = static_cast<std::int32_t>(h);
    site_.g = static_cast<std::int32_t>(h / (shape.heads / shape.kv_heads));
    site_.q_len = static_cast<std::int32_t>(sequence_->q_len);
    site_.k_len = static_cast<std::int32_t>(sequence_->k_len);
    site_.batch = static_cast<std::int32_t>(shape.batch);
    site_.heads = static_cast<std::int32_t>(shape.heads);
    site_.kv_heads = static_cast<std::int32_t>(shape.kv_heads);
    site_.head_dim = problem_.spec.head_dim;
    for (std::int64_t row = 0; row < sequence_->q_len; ++row) compute(row);
  }

 private:
  void compute(std::int64_t row) {
    const Shape& shape = problem_.call.shape;
    std::int64_t at = (batch_ * shape.heads + site_.h) * shape.queries + sequence_->q_start + row;
    site_.q = static_cast<std::int32_t>(static_cast<std::uint32_t>(row) +
                                        static_cast<std::uint32_t>(sequence_->offset));
    evaluator_.move_to(site_);
    double maximum = gather(row);
    if (maximum == -infinity) return;  // 0, -inf and 1, exactly
    if (!ir::is_entmax(problem_.pattern)) {
      bounds_.lse[at] = softmax(at, problem_.reference.lse[at], maximum);
      return;
    }
    const double alpha = evaluator_.value(problem_.pattern.weights.alpha).real;
    if (alpha == 1)  // its gap is 0, exactly
      bounds_.zmax[at] = softmax(at, problem_.reference.zmax[at], maximum);
    else
      entmax(at, alpha);
  }

  void entmax(std::int64_t at, double alpha) {
    const ir::Pattern& pattern = problem_.pattern;
    const EntmaxFacts facts{alpha,
                            problem_.reference.zmax[at],
                            problem_.reference.gap[at],
                            pattern.graph.is_constant(pattern.weights.alpha),
                            problem_.spec.dtype,
                            g(problem_.spec.head_dim),
                            problem_.carried ? 2.0 : 1.0,
                            problem_.unscored  ? 36.0
                            : problem_.carried ? 18.0
                                               : 1.0};
    const EntmaxRow row = weigh_entmax(pairs_, facts);
    bounds_.zmax[at] = row.zmax;
    bounds_.gap[at] = row.gap;
    const double summing = 2 * g(static_cast<double>(sequence_->k_len) + 8);
    bound_row(at, summing + row.common, row.largest, bounds_.o, problem_.reference.o);
    if (!problem_.spec.escort) return;
    const EntmaxRow escort = weigh_escort(pairs_, facts);
    bound_row(at, summing + escort.common, escort.largest, bounds_.escort,
              problem_.reference.escort);
  }

  /// Returns the bound of lse.
  double softmax(std::int64_t at, double lse, double maximum) {
    const auto [sink_weight, sink_error] = sink(lse, maximum);
    double weighted = sink_weight * sink_error, worst = sink_error;  // d, and what it cannot exceed
    for (Pair& pair : pairs_) {
      pair.error += u * (3 * std::fabs(pair.score) + 3 * std::fabs(maximum) + 4);
      pair.weight = std::exp(pair.score - lse);
      pair.change = possible_change(pair, lse);
      pair.counts = true;
      weighted += pair.change;
      worst = std::max(worst, pair.error);
    }
    weighted = std::min(weighted, worst);
    double summing = g(static_cast<double>(sequence_->k_len) + 8);
    bound_row(at, weighted + 2 * summing, std::exp(maximum - lse), bounds_.o, problem_.reference.o);
    if (problem_.spec.escort)  // where alpha is 1, as O
      bound_row(at, weighted + 2 * summing, std::exp(maximum - lse), bounds_.escort,
                problem_.reference.escort);
    return weighted + summing + 2 * u * std::fabs(lse);
  }

  /// How far the weight of a pair may be off: p dk, and where that is no small number, all that the
  /// score might have been. A score at -1e7 that hangs on a sign may as well be at 1e7.
  static double possible_change(const Pair& pair, double lse) {
    if (pair.error <= 1) return pair.weight * pair.error;
    return std::exp(pair.score + pair.error - lse);
  }

  /// The attending pairs of a row with their scores and errors; returns the maximum.
  double gather(std::int64_t row) {
    pairs_.clear();
    double maximum = -infinity;
    Row q = row_of(problem_.args.q, site_.h, sequence_->q_start + row);
    for (std::int32_t key = 0; key < sequence_->k_len; ++key) {
      evaluator_.move_to_key(key);
      if (!evaluator_.attends(problem_.pattern.masks)) continue;
      Pair pair = score(q, key);
      if (pair.score == -infinity) continue;
      pairs_.push_back(pair);
      maximum = std::max(maximum, pair.score);
    }
    return maximum;
  }

  Pair score(const Row& q, std::int32_t key) {
    Row k = row_of(problem_.args.k, site_.g, sequence_->k_start + key);
    double dot = 0, magnitude = 0;
    for (int i = 0; i < problem_.spec.head_dim; ++i) {
      double product = q[i] * k[i];
      dot += product;
      magnitude += std::fabs(product);
    }
    double scale = problem_.call.scale, z = scale * dot;
    double dz = std::fabs(scale) * g(problem_.spec.head_dim) * magnitude + 2 * u * std::fabs(z);
    if (problem_.pattern.score == ir::no_node) return {key, z, dz};
    evaluator_.set_score(z);
    double score = evaluator_.value(problem_.pattern.score).real;
    return {key, score, score_error_.at_pair(problem_.pattern.score, dz)};
  }

  /// The weight of the sink and the error of its logit; 0 and 0 without one.
  std::pair<double, double> sink(double lse, double maximum) {
    if (problem_.pattern.weights.sink == ir::no_node) return {0, 0};
    const double sink = evaluator_.value(problem_.pattern.weights.sink).real;
    if (sink == -infinity) return {0, 0};
    return {std::exp(sink - lse), u * (3 * std::fabs(sink) + 3 * std::fabs(maximum) + 4)};
  }

  /// O, or the escort, is a mean of rows of V, and of 0 where there is a sink: however far the
  /// weights are off, it stays between them. `common` is the relative error of every weight,
  /// `largest` the weight that is stored as 1.
  void bound_row(std::int64_t at, double common, double largest_weight,
                 std::vector<double>& of_values, const std::vector<double>& values) {
    const int width = problem_.spec.value_dim;
    const bool sink = problem_.pattern.weights.sink != ir::no_node;
    double* bound = of_values.data() + at * width;
    const double* o = values.data() + at * width;
    const Rounding& weight = problem_.weight;
    const double tiny = weight.tiny * largest_weight;
    const bool entmax = !bounds_.gap.empty();
    // Beside a great sink all weights may be subnormal, which count as zero.
    const double flushed = sink ? 0x1p-126 : 0;
    low_.assign(width, sink ? 0 : infinity);
    high_.assign(width, sink ? 0 : -infinity);
    rounded_.assign(width, 0);
    squares_.assign(width, 0);
    for (const Pair& pair : pairs_) {
      if (!pair.counts) continue;
      const double p = pair.weight, change = pair.change;
      const Row v = row_of(problem_.args.v, site_.g, sequence_->k_start + pair.key);
      for (int i = 0; i < width; ++i) {
        low_[i] = std::min(low_[i], v[i]);
        high_[i] = std::max(high_[i], v[i]);
        // A change of infinity is known of a value of 0 too: what it displaces.
        bound[i] += change == infinity
                        ? infinity
                        : (change + (p > 0 ? p * common : 0) + flushed) * std::fabs(v[i]);
        // The sum that divides entmax may be one of rounded weights: they then move O towards v.
        const double moved =
            entmax ? std::max(std::fabs(v[i]), std::fabs(v[i] - o[i])) : std::fabs(v[i]);
        const double rounded = (p * weight.unit + tiny) * moved;
        rounded_[i] += rounded;
        squares_[i] += rounded * rounded;
      }
    }
    const Rounding& out = problem_.out;
    for (int i = 0; i < width; ++i) {
      const double summing = 2 * g(static_cast<double>(sequence_->k_len) + 8);
      const double largest = std::max(std::fabs(low_[i]), std::fabs(high_[i]));
      bound[i] = std::min(bound[i], high_[i] - low_[i] + summing * largest) +
                 std::min(rounded_[i], 6 * std::sqrt(squares_[i]));
      bound[i] += out.unit * (std::fabs(o[i]) + bound[i]) + out.tiny;
    }
  }

  Row row_of(const TensorView& view, std::int64_t head, std::int64_t row) const {
    return {view, batch_ * view.strides[0] + head * view.strides[1] + row * view.strides[2]};
  }

  const Problem& problem_;
  Bounds& bounds_;
  ir::Evaluator evaluator_;
  ScoreError score_error_;
  std::int64_t batch_ = 0;
  const ir::Sequence* sequence_ = nullptr;
  ir::Site site_;
  std::vector<Pair> pairs_;
  std::vector<double> low_, high_;         ///< of the live values of each column
  std::vector<double> rounded_, squares_;  ///< what the rounding of each weight may add to it
};

}  // namespace

Bounds bounds(const Spec& spec, const Args& args, const ir::Reference& reference) {
  Problem problem{spec, args, reference};
  Bounds bounds{std::vector<double>(reference.o.size()), std::vector<double>(reference.lse.size()),
                std::vector<double>(reference.zmax.size()),
                std::vector<double>(reference.gap.size()),
                std::vector<double>(reference.escort.size())};
  std::int64_t heads = problem.call.shape.heads, all = problem.call.shape.batch * heads;
  std::atomic<std::int64_t> next = 0;
  auto work = [&] {
    Worker worker(problem, bounds);
    for (std::int64_t i = next++; i < all; i = next++) worker.head(i / heads, i % heads);
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) threads.emplace_back(work);
    work();
  }
  return bounds;
}

}  // namespace lacuna::tool
