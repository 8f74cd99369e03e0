#include "compiler/ir/reference.h"

#include "compiler/ir/bindings.h"
#include "compiler/ir/element.h"
#include "compiler/ir/scalar.h"
#include "compiler/ir/weigh.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <thread>

namespace lacuna::ir {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// What every row of a call shares.
struct Problem {
  const Spec& spec;
  const Args& args;
  const Pattern& pattern = spec.pattern.tree();
  bool packed = spec.lengths == Lengths::packed;
  Call call;
  std::vector<Sequence> sequences = sequences_of(spec, args, call);
  CallBindings bindings{pattern, call, sequences, packed};

  std::int64_t group() const {
    return call.shape.kv_heads > 0 ? call.shape.heads / call.shape.kv_heads : 1;
  }
};

Site site_of(const Problem& problem, std::int64_t b, std::int64_t h, std::int64_t row) {
  const Shape& shape = problem.call.shape;
  const Sequence& sequence = problem.sequences[static_cast<std::size_t>(b)];
  const auto i32 = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  Site site;
  site.b = i32(b);
  site.h = i32(h);
  site.g = i32(h / problem.group());
  site.q = scalar::wrap_add(i32(row), sequence.offset);
  site.q_len = i32(sequence.q_len);
  site.k_len = i32(sequence.k_len);
  site.batch = i32(shape.batch);
  site.heads = i32(shape.heads);
  site.kv_heads = i32(shape.kv_heads);
  site.head_dim = problem.spec.head_dim;
  return site;
}

/// Rows of one head of Q, K or V in f64, each converted when it is first asked for and not before.
class Matrix {
 public:
  void open(const TensorView& view, std::int64_t batch, std::int64_t head, std::int64_t first,
            std::int64_t rows) {
    view_ = &view;
    base_ = batch * view.strides[0] + head * view.strides[1] + first * view.strides[2];
    width_ = view.shape[3];
    held_.assign(static_cast<std::size_t>(rows), 0);
    values_.resize(static_cast<std::size_t>(rows * width_));
  }
  const double* row(std::int64_t index) {
    double* values = values_.data() + index * width_;
    if (held_[static_cast<std::size_t>(index)]) return values;
    const std::int64_t start = base_ + index * view_->strides[2];
    for (std::int64_t d = 0; d < width_; ++d)
      values[d] = load_real(view_->dtype, view_->data, start + d);
    held_[static_cast<std::size_t>(index)] = 1;
    return values;
  }

 private:
  const TensorView* view_ = nullptr;
  std::int64_t base_ = 0, width_ = 0;
  std::vector<std::uint8_t> held_;
  std::vector<double> values_;
};

/// Works on one head of one sequence after another, a row at a time.
class Worker {
 public:
  Worker(const Problem& problem, Reference& result)
      : problem_(problem), result_(result), evaluator_(problem.pattern.graph, problem.bindings) {}
  std::int64_t live() const { return live_; }

  void open(std::int64_t b, std::int64_t h) {
    if (b == b_ && h == h_) return;
    b_ = b;
    h_ = h;
    const Sequence& sequence = problem_.sequences[static_cast<std::size_t>(b)];
    const std::int64_t batch = problem_.packed ? 0 : b, g = h / problem_.group();
    q_.open(problem_.args.q, batch, h, sequence.q_start, sequence.q_len);
    k_.open(problem_.args.k, batch, g, sequence.k_start, sequence.k_len);
    v_.open(problem_.args.v, batch, g, sequence.k_start, sequence.k_len);
    scores_.resize(static_cast<std::size_t>(sequence.k_len));
  }

  void compute(std::int64_t row) {
    const Shape& shape = problem_.call.shape;
    const Sequence& sequence = problem_.sequences[static_cast<std::size_t>(b_)];
    const std::int64_t batch = problem_.packed ? 0 : b_;
    const std::int64_t at = (batch * shape.heads + h_) * shape.queries + sequence.q_start + row;
    evaluator_.move_to(site_of(problem_, b_, h_, row));
    for (std::size_t k = 0; k < scores_.size(); ++k) {
      scores_[k] = score(row, static_cast<std::int32_t>(k));
      live_ += scores_[k] != -infinity;
    }
    weigh(static_cast<std::size_t>(at));
    add_values(result_.o, at);
    if (!problem_.spec.escort) return;
    to_escort(evaluator_.value(problem_.pattern.weights.alpha).real);
    add_values(result_.escort, at);
  }

 private:
  /// The mean of V by the weights at hand, to a row of O or of the escort.
  void add_values(std::vector<double>& to, std::int64_t at) {
    double* o = to.data() + at * problem_.spec.value_dim;
    for (std::size_t k = 0; k < scores_.size(); ++k) {
      if (scores_[k] == 0) continue;
      const double* v = v_.row(static_cast<std::int64_t>(k));
      for (int d = 0; d < problem_.spec.value_dim; ++d) o[d] += scores_[k] * v[d];
    }
  }

  void to_escort(double alpha) {
    double sum = 0;
    for (double& p : scores_)
      if (p != 0) sum += p = std::isnan(p) ? p : std::pow(p, 2 - alpha);
    for (double& p : scores_)
      if (p != 0) p /= sum;
  }

  /// -inf where the pair does not attend; its row of K is then not read.
  double score(std::int64_t row, std::int32_t key) {
    evaluator_.move_to_key(key);
    if (!evaluator_.attends(problem_.pattern.masks)) return -infinity;
    const double *q = q_.row(row), *k = k_.row(key);
    double dot = 0;
    for (int d = 0; d < problem_.spec.head_dim; ++d) dot += q[d] * k[d];
    const double scaled = problem_.call.scale * dot;
    if (problem_.pattern.score == no_node) return scaled;
    evaluator_.set_score(scaled);
    return evaluator_.value(problem_.pattern.score).real;
  }

  void weigh(std::size_t at) {
    const Weights& weights = problem_.pattern.weights;
    if (is_entmax(problem_.pattern)) {
      const Threshold row = entmax(scores_, evaluator_.value(weights.alpha).real);
      result_.zmax[at] = row.zmax;
      result_.gap[at] = row.gap;
    } else {
      result_.lse[at] = weights.sink == no_node
                            ? softmax(scores_)
                            : softmax(scores_, evaluator_.value(weights.sink).real);
    }
  }

  const Problem& problem_;
  Reference& result_;
  Evaluator evaluator_;
  std::int64_t b_ = -1, h_ = -1, live_ = 0;
  Matrix q_, k_, v_;
  std::vector<double> scores_;
};

/// Rows of one head that a thread takes at a time.
struct Block {
  std::int64_t b, h, first, end;
};

std::vector<Block> blocks_of(const Problem& problem) {
  constexpr std::int64_t rows = 64;
  std::vector<Block> blocks;
  for (std::int64_t b = 0; b < problem.call.shape.batch; ++b)
    for (std::int64_t h = 0; h < problem.call.shape.heads; ++h) {
      const std::int64_t q_len = problem.sequences[static_cast<std::size_t>(b)].q_len;
      for (std::int64_t first = 0; first < q_len; first += rows)
        blocks.push_back({b, h, first, std::min(first + rows, q_len)});
    }
  return blocks;
}

/// Hands blocks to threads, and the error of the first block that has one to the caller.
class Crew {
 public:
  Crew(const Problem& problem, Reference& result)
      : problem_(problem), result_(result), blocks_(blocks_of(problem)) {}

  void work() {
    const std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 1; i < std::min(cores, blocks_.size()); ++i)
        threads.emplace_back([this] { take_blocks(); });
      take_blocks();
    }
    result_.live = live_;
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void take_blocks() {
    Worker worker(problem_, result_);
    std::size_t i = next_++;
    try {
      for (; i < blocks_.size(); i = next_++) {
        worker.open(blocks_[i].b, blocks_[i].h);
        for (std::int64_t row = blocks_[i].first; row < blocks_[i].end; ++row) worker.compute(row);
      }
    } catch (...) {
      next_ = blocks_.size();
      const std::lock_guard lock(mutex_);
      // Blocks are begun in order and finished once begun: the first error is always the same one.
      if (i < error_block_) error_ = std::current_exception(), error_block_ = i;
    }
    live_ += worker.live();
  }

  const Problem& problem_;
  Reference& result_;
  std::vector<Block> blocks_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::int64_t> live_ = 0;
  std::mutex mutex_;
  std::exception_ptr error_;
  std::size_t error_block_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace

Reference forward(const Spec& spec, const Args& args) {
  const Problem problem{.spec = spec, .args = args, .call = bind(spec, args, Needs::inputs)};
  const Shape& shape = problem.call.shape;
  const std::int64_t rows = (problem.packed ? 1 : shape.batch) * shape.heads * shape.queries;
  Reference result;
  result.o.assign(static_cast<std::size_t>(rows * spec.value_dim), 0.0);
  if (is_entmax(problem.pattern)) {
    result.zmax.assign(static_cast<std::size_t>(rows), -infinity);
    result.gap.assign(static_cast<std::size_t>(rows), 1.0);
    if (spec.escort) result.escort = result.o;
  } else {
    result.lse.assign(static_cast<std::size_t>(rows), -infinity);
  }
  Crew(problem, result).work();
  return result;
}

std::vector<std::uint8_t> live(const Spec& spec, const Args& args, std::int64_t b, std::int64_t h) {
  const Problem problem{.spec = spec, .args = args, .call = bind(spec, args, Needs::shapes)};
  const Sequence& sequence = problem.sequences.at(static_cast<std::size_t>(b));
  const std::int64_t rows = problem.packed ? sequence.q_len : problem.call.shape.queries;
  const std::int64_t columns = problem.packed ? sequence.k_len : problem.call.shape.keys;
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(rows * columns), 0);
  Evaluator evaluator(problem.pattern.graph, problem.bindings);
  for (std::int64_t row = 0; row < sequence.q_len; ++row) {
    evaluator.move_to(site_of(problem, b, h, row));
    for (std::int64_t k = 0; k < sequence.k_len; ++k) {
      evaluator.move_to_key(static_cast<std::int32_t>(k));
      mask[static_cast<std::size_t>(row * columns + k)] = evaluator.attends(problem.pattern.masks);
    }
  }
  return mask;
}

}  // namespace lacuna::ir
