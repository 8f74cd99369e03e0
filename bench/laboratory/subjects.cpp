#include "bench/laboratory/subjects.h"

#include <algorithm>
#include <iterator>

namespace lacuna::bench {
namespace {

constexpr int choices = 3;  ///< of each kernel whose schedules are compared
constexpr int archs[] = {80, 86, 90};
constexpr int head_dims[] = {64, 128, 256};

constexpr std::string_view causal = "attention causal_attention { mask causal }";
constexpr std::string_view others[] = {
    "attention full_attention {}",
    "attention window_attention {\n param reach: i32 = 1000000\n mask causal\n mask "
    "window(reach)\n}",
    "attention softcap_attention {\n mask causal\n score softcap(score, 30.0)\n}",
    "attention alibi_attention {\n tensor slope: f32[head]\n mask causal\n"
    " score score - slope[h] * (q - k)\n}",
    "attention document_attention {\n tensor doc: i32[batch, key]\n mask causal\n"
    " mask doc[b, q] == doc[b, k]\n}",
};

Subject subject_of(std::string_view text, DType dtype, int head_dim, int sm) {
  const Pattern pattern = Pattern::parse(text, "laboratory.lac");
  return {.spec = {.pattern = pattern,
                   .dtype = dtype,
                   .head_dim = head_dim,
                   .value_dim = head_dim,
                   .statistic = true},
          .arch = {sm},
          .schedule = {},
          .params = tool::bind_params(pattern.tree(), {})};
}

}  // namespace

std::vector<Subject> every_schedule(const Subject& subject) {
  std::vector<Subject> all;
  const plan::Machine machine = plan::machine_of(subject.spec.dtype);
  for (const plan::Schedule& schedule : plan::schedules(machine, subject.spec, subject.arch)) {
    all.push_back(subject);
    all.back().schedule = schedule;
  }
  return all;
}

std::vector<Subject> timed_subjects() {
  std::vector<Subject> all;
  for (const int sm : archs)
    for (const int head_dim : head_dims)
      all.push_back(every_schedule(subject_of(causal, DType::f16, head_dim, sm)).front());
  return all;
}

std::vector<Subject> table_subjects() {
  std::vector<Subject> all;
  for (const int sm : archs)
    for (const int head_dim : head_dims) {
      std::vector<Subject> some = every_schedule(subject_of(causal, DType::f16, head_dim, sm));
      some.erase(some.begin() + std::min<std::ptrdiff_t>(std::ssize(some), choices), some.end());
      std::move(some.begin(), some.end(), std::back_inserter(all));
    }
  const auto add = [&](std::string_view text, DType dtype, int head_dim, int sm) {
    all.push_back(every_schedule(subject_of(text, dtype, head_dim, sm)).front());
  };
  for (const int sm : {80, 90}) {
    for (const int head_dim : {40, 96, 192}) add(causal, DType::f16, head_dim, sm);
    add(causal, DType::bf16, 128, sm);
    add(causal, DType::f32, 64, sm);
  }
  for (const std::string_view text : others) add(text, DType::f16, 128, 80);
  return all;
}

}  // namespace lacuna::bench
