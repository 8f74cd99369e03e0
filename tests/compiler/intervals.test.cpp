// Every rule of the interval analysis against the meaning of its operator.
#include "compiler/ir/meaning.h"
#include "compiler/plan/spans.h"
#include "tests/catch.h"
#include "tests/fuzz/program.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

namespace {

using namespace lacuna;
using ir::Value;
using spans::Bool;
using spans::Int;
using spans::Real;

constexpr int lowest = std::numeric_limits<int>::min(), highest = std::numeric_limits<int>::max();
constexpr float inf = std::numeric_limits<float>::infinity(),
                nan = std::numeric_limits<float>::quiet_NaN();

struct Nothing {};

int random_int(fuzz::Draw& draw) {
  switch (draw.below(4)) {
    case 0:
      return draw.of({lowest, lowest + 1, lowest + 31, -65536, -32, -1, 0, 1, 31, 32, 33, 65535,
                      highest - 1, highest});
    case 1:
      return draw.between(-200, 200);
    case 2:
      return draw.between(-9, 9);
    default:
      return static_cast<int>(draw.below(highest)) * (draw.chance(0.5) ? 1 : -1);
  }
}

float random_real(fuzz::Draw& draw) {
  switch (draw.below(4)) {
    case 0:
      return draw.of({-inf, inf, -3.4028235e38f, 3.4028235e38f, 0.0f, -0.0f, 1e-45f, -1e-45f, 1.0f,
                      -1.0f, 0.5f, 2147483648.0f, -2147483648.0f, 89.0f, -104.0f});
    case 1:
      return static_cast<float>(draw.between(-4, 4));
    case 2: {
      const float x = std::bit_cast<float>(static_cast<std::uint32_t>(draw.below(highest)) * 2u);
      return x != x ? 1.5f : draw.chance(0.5) ? x : -x;
    }
    default:
      return draw.normal();
  }
}

template <class Span>
Span random_span(fuzz::Draw& draw) {
  if constexpr (std::is_same_v<Span, Int>) {
    const int a = random_int(draw);
    const int b = draw.chance(0.25)  ? a
                  : draw.chance(0.5) ? ir::scalar::wrap_add(a, draw.below(40))
                                     : random_int(draw);
    return {std::min(a, b), std::max(a, b)};
  } else if constexpr (std::is_same_v<Span, Real>) {
    const float a = random_real(draw), b = draw.chance(0.25) ? a : random_real(draw);
    return {std::min(a, b), std::max(a, b), draw.chance(0.2)};
  } else if constexpr (std::is_same_v<Span, Bool>) {
    const int which = draw.below(3);
    return {which != 0, which != 1};
  } else {
    return {};
  }
}

/// Values of a span: all of a small one, else its ends, what lies beside them, and some others.
std::vector<Value> values_of(const Int& span, fuzz::Draw& draw) {
  const std::int64_t lo = span.lo, hi = span.hi;
  std::vector<Value> values;
  if (hi - lo < 24) {
    for (std::int64_t x = lo; x <= hi; ++x) values.push_back({static_cast<int>(x), 0});
    return values;
  }
  for (const std::int64_t x : {lo, lo + 1, lo + 2, hi - 2, hi - 1, hi})
    values.push_back({static_cast<int>(x), 0});
  for (const int x : {lowest, -32, -2, -1, 0, 1, 2, 31, 32, 63, 64, highest})
    if (lo <= x && x <= hi) values.push_back({x, 0});
  for (int i = 0; i < 8; ++i) {
    const double x = draw.between(static_cast<double>(lo), static_cast<double>(hi));
    values.push_back({static_cast<int>(std::clamp<std::int64_t>(std::llround(x), lo, hi)), 0});
  }
  return values;
}
std::vector<Value> values_of(const Real& span, fuzz::Draw& draw) {
  std::vector<Value> values;
  const auto offer = [&](float x) {
    if (span.lo <= x && x <= span.hi) values.push_back({0, x});
  };
  for (const float x : {span.lo, span.hi, std::nextafter(span.lo, inf),
                        std::nextafter(span.hi, -inf), 0.0f, -0.0f, 1e-45f, -1e-45f, 1.0f, -1.0f})
    offer(x);
  for (int i = 0; i < 8; ++i) {
    offer(random_real(draw));
    offer(static_cast<float>(
        draw.between(std::max(-3e38, double{span.lo}), std::min(3e38, double{span.hi}))));
  }
  if (span.nan) values.push_back({0, nan});
  return values;
}
std::vector<Value> values_of(const Bool& span, fuzz::Draw&) {
  std::vector<Value> values;
  if (span.yes) values.push_back({1, 0});
  if (span.no) values.push_back({0, 0});
  return values;
}
std::vector<Value> values_of(const Nothing&, fuzz::Draw&) {
  return {{}};
}

bool holds(const Int& span, const Value& x) {
  return span.lo <= x.integer && x.integer <= span.hi;
}
bool holds(const Real& span, const Value& x) {
  return std::isnan(x.real) ? span.nan : span.lo <= x.real && x.real <= span.hi;
}
bool holds(const Bool& span, const Value& x) {
  return x.integer ? span.yes : span.no;
}

std::string text(const Int& span) {
  return fmt::format("[{}, {}]", span.lo, span.hi);
}
std::string text(const Real& span) {
  return fmt::format("[{:a}, {:a}{}]", span.lo, span.hi, span.nan ? ", NaN" : "");
}
std::string text(const Bool& span) {
  return fmt::format("{{{}{}}}", span.yes ? "true " : "", span.no ? "false" : "");
}
std::string text(const Nothing&) {
  return "";
}
std::string text(const Value& x) {
  return fmt::format("{} {:a}", x.integer, x.real);
}

template <class A, class B, class C, class Rule>
auto applied(const Rule& rule, const A& a, const B& b, const C& c) {
  if constexpr (!std::is_same_v<C, Nothing>)
    return rule(a, b, c);
  else if constexpr (!std::is_same_v<B, Nothing>)
    return rule(a, b);
  else
    return rule(a);
}

/// "" or a value that the operator gives and the rule leaves out.
template <class A, class B, class C, class Rule>
std::string unsound(ir::Op op, const Rule& rule, int trials, fuzz::Draw& draw) {
  for (int trial = 0; trial < trials; ++trial) {
    const A a = random_span<A>(draw);
    const B b = random_span<B>(draw);
    const C c = random_span<C>(draw);
    const auto span = applied(rule, a, b, c);
    for (const Value& x : values_of(a, draw))
      for (const Value& y : values_of(b, draw))
        for (const Value& z : values_of(c, draw)) {
          const std::array operands{x, y, z};
          const Value result = ir::meaning<float>(op, [&](int i) { return operands[i]; });
          if (!holds(span, result))
            return fmt::format("of {} {} {}: {}; but of {} and {} and {}: {}", text(a), text(b),
                               text(c), text(span), text(x), text(y), text(z), text(result));
        }
  }
  return "";
}

/// "" or spans of small integers for which the rule gives more than the hull of all results.
template <class A, class B, class Result, class Rule>
std::string loose(ir::Op op, const Rule& rule, int least_second, int most_second, bool one_second,
                  fuzz::Draw& draw) {
  const auto small = [&](int from, int to, bool one) {
    const int a = draw.between(from, to), b = one ? a : draw.between(from, to);
    return Int{std::min(a, b), std::max(a, b)};
  };
  for (int trial = 0; trial < 400; ++trial) {
    const Int a = small(-40, 40, false), b = small(least_second, most_second, one_second);
    std::int64_t lo = highest, hi = lowest;
    for (int x = a.lo; x <= a.hi; ++x)
      for (int y = b.lo; y <= b.hi; ++y) {
        const int result = ir::meaning<float>(op, [&](int i) {
                             return Value{i ? y : x, 0};
                           }).integer;
        lo = std::min<std::int64_t>(lo, result);
        hi = std::max<std::int64_t>(hi, result);
      }
    bool exact;
    std::string found;
    const auto span = [&] {
      if constexpr (std::is_same_v<B, Int>)
        return rule(a, b);
      else
        return rule(a);
    }();
    found = text(span);
    if constexpr (std::is_same_v<Result, Int>)
      exact = span.lo == lo && span.hi == hi;
    else
      exact = span.yes == (hi == 1) && span.no == (lo == 0);
    if (!exact)
      return fmt::format("of {} {}: {}, but results are [{}, {}]", text(a), text(b), found, lo, hi);
  }
  return "";
}

}  // namespace

TEST_CASE("every operator's interval rule holds all that the operator gives") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  using boolean = Bool;
  using i32 = Int;
  using f32 = Real;
  using none = Nothing;
#define LACUNA_OP(name, spelling, result, A, B, C, evaluate, emit, interval)              \
  {                                                                                       \
    INFO(#name);                                                                          \
    const auto rule = [](const auto&... of) -> result { return spans::interval(of...); }; \
    CHECK(unsound<A, B, C>(ir::Op::name, rule, 2000, draw) == "");                        \
  }
#include "compiler/ir/ops.def"
#undef LACUNA_OP
}

TEST_CASE("the device's own exp, log and tanh lie in the spans that the rules give") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int trial = 0; trial < 20000; ++trial) {
    const Real a = random_span<Real>(draw);
    for (const Value& x : values_of(a, draw)) {
      const float value = static_cast<float>(x.real);
      const bool held = holds(spans::exponential(a), {0, exponential(value)}) &&
                        holds(spans::logarithm(a), {0, logarithm(value)}) &&
                        holds(spans::hyperbolic_tangent(a), {0, hyperbolic_tangent(value)});
      if (!held) FAIL(text(a) << " at " << text(x));
    }
  }
}

TEST_CASE("interval rules of i32 give the hull and no more") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  using ir::Op;
#define EXACT(B, result, name, interval, least, most, one)                      \
  {                                                                             \
    INFO(#name);                                                                \
    const auto rule = [](const auto&... of) { return spans::interval(of...); }; \
    CHECK(loose<Int, B, result>(Op::name, rule, least, most, one, draw) == ""); \
  }
  EXACT(Int, Int, add_i32, add, -40, 40, false)
  EXACT(Int, Int, sub_i32, subtract, -40, 40, false)
  EXACT(Int, Int, mul_i32, multiply, -40, 40, false)
  EXACT(Int, Int, floordiv_i32, floor_divide, -40, 40, false)
  EXACT(Int, Int, mod_i32, modulo, -40, 40, true)  // by one divisor
  EXACT(Nothing, Int, neg_i32, negate, 0, 40, true)
  EXACT(Nothing, Int, abs_i32, absolute, 0, 40, true)
  EXACT(Int, Int, min_i32, least, -40, 40, false)
  EXACT(Int, Int, max_i32, greatest, -40, 40, false)
  EXACT(Int, Int, and_i32, bit_and, -40, 40, false)
  EXACT(Int, Int, or_i32, bit_or, -40, 40, false)
  EXACT(Int, Int, xor_i32, bit_xor, -40, 40, false)
  EXACT(Nothing, Int, not_i32, complement, 0, 40, true)
  EXACT(Int, Int, shl_i32, left_shift, 0, 20, true)
  EXACT(Int, Int, shr_i32, right_shift, 0, 20, true)
  EXACT(Int, Bool, eq_i32, equal, -40, 40, false)
  EXACT(Int, Bool, ne_i32, unequal, -40, 40, false)
  EXACT(Int, Bool, lt_i32, less, -40, 40, false)
  EXACT(Int, Bool, le_i32, less_equal, -40, 40, false)
#undef EXACT
}

TEST_CASE("congruence is exact, and what a comparison leaves loses nothing that satisfies it") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  fuzz::Draw draw(random);
  for (int trial = 0; trial < 20000; ++trial) {
    const auto drawn = [&] {
      const int from = draw.chance(0.1) ? random_int(draw) : draw.between(-60, 60);
      return Int{from, static_cast<int>(
                           std::min<std::int64_t>(highest, std::int64_t{from} + draw.below(24)))};
    };
    const Int x = drawn(), y = drawn();
    const int divisor = draw.chance(0.1) ? random_int(draw) : draw.between(-9, 9);
    const int rest = draw.chance(0.1) ? random_int(draw) : draw.between(-10, 10);
    bool some = false, all = true;
    for (const Value& v : values_of(x, draw)) {
      const bool same = ir::scalar::floor_mod(v.integer, divisor) == rest;
      some |= same, all &= same;
    }
    const Bool found = spans::congruent(x, spans::point(divisor), spans::point(rest));
    INFO(text(x) << " % " << divisor << " == " << rest << ", " << text(y));
    REQUIRE(found.yes == some);
    REQUIRE(found.no == !all);
    bool kept = true;
    for (const Value& one : values_of(x, draw))
      for (const Value& other : values_of(y, draw)) {
        const int v = one.integer, w = other.integer;
        kept &= v > w || holds(spans::at_most(x, y), {v, 0});
        kept &= v < w || holds(spans::at_least(x, y), {v, 0});
        kept &= v >= w || holds(spans::below(x, y), {v, 0});
        kept &= v <= w || holds(spans::above(x, y), {v, 0});
        kept &= v != w || holds(spans::meet(x, y), {v, 0});
      }
    REQUIRE(kept);
  }
}
