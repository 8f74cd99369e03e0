#include "tools/lacuna/compare.h"

#include "tools/lacuna/bound.h"
#include "tools/lacuna/execute.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace lacuna::tool {
namespace {

/// What a call may write besides O, in every place that holds it.
struct Statistic {
  const char* name;
  bool of_rows;  ///< and not of the values of a row
  Distance Comparison::*distance;
  Array Results::*array;
  std::vector<double> ir::Reference::*reference;
  std::vector<double> Bounds::*bounds;
};
constexpr Statistic statistics[] = {
    {"lse", true, &Comparison::lse, &Results::lse, &ir::Reference::lse, &Bounds::lse},
    {"zmax", true, &Comparison::zmax, &Results::zmax, &ir::Reference::zmax, &Bounds::zmax},
    {"gap", true, &Comparison::gap, &Results::gap, &ir::Reference::gap, &Bounds::gap},
    {"escort", false, &Comparison::escort, &Results::escort, &ir::Reference::escort,
     &Bounds::escort}};

std::string index_text(std::int64_t element, const std::vector<std::int64_t>& shape) {
  std::string text;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    text = fmt::format("{}{}", element % shape[axis], text.empty() ? "" : "," + text);
    element /= shape[axis];
  }
  return "[" + text + "]";
}

/// |a - b|, where equal infinities and two NaN are equal, and a lone NaN is infinitely far.
double distance(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  double distance = std::fabs(a - b);
  return std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
}

Distance measure(const Array& array, const std::vector<double>& reference,
                 const std::vector<double>& bounds, bool statistic) {
  // The statistic of a row that attends to nothing is -inf, exactly.
  auto absent = [&](double value) { return statistic && value == -INFINITY; };
  Distance result;
  result.elements = array.elements();
  std::int64_t worst = -1;
  double squares = 0;
  bool lone_nan = false;
  for (std::int64_t i = 0; i < result.elements; ++i) {
    double error = distance(array.real(i), reference[i]), bound = bounds[i];
    if (i == 0 || error > result.max) result.max = error, result.bound = bound;
    squares += error * error;
    lone_nan |= std::isnan(array.real(i)) != std::isnan(reference[i]);
    result.unproved += !std::isfinite(reference[i]) && !absent(reference[i]);
    // An element without a bound is no evidence, unless it is not a number where the reference has
    // one.
    bool beyond = error > bound || (std::isinf(error) && std::isinf(bound));
    result.beyond += beyond;
    double share = error == 0 ? 0 : beyond && std::isinf(bound) ? bound : error / bound;
    if (std::isnan(share)) share = 0;  // an unproved element is not the worst
    if (worst < 0 || share > result.share) worst = i, result.share = share;
  }
  if (result.elements > 0) {
    result.rms = std::sqrt(squares / static_cast<double>(result.elements));
    result.worst = index_text(worst, array.shape);
    if (lone_nan) result.max = result.rms = std::numeric_limits<double>::quiet_NaN();
  }
  return result;
}

Json to_json(const Distance& distance) {
  auto number = [](double x) { return std::isfinite(x) ? Json(x) : Json(fmt::format("{}", x)); };
  return {{"max", number(distance.max)},     {"rms", number(distance.rms)},
          {"bound", number(distance.bound)}, {"share_of_bound", number(distance.share)},
          {"worst", distance.worst},         {"elements", distance.elements},
          {"beyond", distance.beyond},       {"not_finite", distance.unproved}};
}

std::string line(std::string_view name, std::string_view type, const Distance& distance) {
  if (distance.elements == 0) return fmt::format("  {:<8} no elements\n", name);
  auto text = fmt::format(
      "  {:<8} max error {:.2e} where {} may be off by {:.2e}, rms {:.2e}; {:.0f} % of the bound "
      "at most, at {}\n",
      name, distance.max, type, distance.bound, distance.rms, 100 * distance.share, distance.worst);
  if (!distance.within()) {
    text += fmt::format("  {:<8} BEYOND THE BOUND: {} of {} elements\n", "", distance.beyond,
                        distance.elements);
  }
  if (distance.unproved > 0) {
    text += fmt::format(
        "  {:<8} {} of {} elements are not finite in the reference: nothing is proved about them\n",
        "", distance.unproved, distance.elements);
  }
  return text;
}

}  // namespace

Comparison compare(const Spec& spec, const Inputs& inputs, const Results& results) {
  HostCall call(inputs, &results);
  ir::Reference reference = ir::forward(spec, call.args());
  Bounds allowed = bounds(spec, call.args(), reference);
  Comparison comparison;
  comparison.live = reference.live;
  comparison.o = measure(results.o, reference.o, allowed.o, false);
  for (const Statistic& one : statistics)
    if ((results.*one.array).present())
      comparison.*one.distance =
          measure(results.*one.array, reference.*one.reference, allowed.*one.bounds, one.of_rows);
  return comparison;
}

Json to_json(const Comparison& comparison) {
  Json json = {{"within", comparison.within()},
               {"live_pairs", comparison.live},
               {"o", to_json(comparison.o)}};
  for (const Statistic& one : statistics)
    if ((comparison.*one.distance).elements > 0) json[one.name] = to_json(comparison.*one.distance);
  return json;
}

std::string to_text(const Comparison& comparison, DType output) {
  std::string text = line("o", name_of(output), comparison.o);
  for (const Statistic& one : statistics)
    if ((comparison.*one.distance).elements > 0)
      text += line(one.name, one.of_rows ? "f32" : name_of(output), comparison.*one.distance);
  return text;
}

}  // namespace lacuna::tool
