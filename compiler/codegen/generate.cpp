#include "compiler/codegen/generate.h"

#include "lacuna/version.hpp"

#include "compiler/codegen/expression.h"
#include "compiler/codegen/pattern.h"
#include "compiler/codegen/text.h"
#include "compiler/plan/entmax.h"
#include "compiler/plan/inverse.h"
#include "compiler/plan/materialise.h"
#include "compiler/plan/short_rows.h"
#include "templates/abi.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::codegen {
namespace {

bool is_weighed_by_entmax(const plan::Pass& pass) {
  return pass.kind == plan::PassKind::threshold || pass.kind == plan::PassKind::accumulate;
}

/// What a pass takes besides the call and the pattern's values.
struct Tail {
  std::string_view type, name;
  int bytes = 0;
};
std::vector<Tail> tails_of(const plan::Pass& pass, const Spec& spec) {
  std::vector<Tail> tails;
  if (pass.kind == plan::PassKind::tile_lists || pass.kind == plan::PassKind::live_tiles)
    tails.push_back({"TileBuildArg", "tiles", int{sizeof(TileBuildArg)}});
  if (pass.listed) tails.push_back({"TileReadArg", "lists", int{sizeof(TileReadArg)}});
  if (pass.kind == plan::PassKind::threshold)
    tails.push_back({"ThresholdArg", "threshold", int{sizeof(ThresholdArg)}});
  if (pass.kind == plan::PassKind::accumulate || pass.kind == plan::PassKind::short_rows)
    tails.push_back({"EntmaxArg", "entmax", int{sizeof(EntmaxArg)}});
  if (pass.kind == plan::PassKind::materialise || pass.kind == plan::PassKind::gather)
    tails.push_back({"MaterialisedArg", "materialised", int{sizeof(MaterialisedArg)}});
  if (spec.sparsity && is_weighed_by_entmax(pass))
    tails.push_back({"SparsityArg", "sparsity", int{sizeof(SparsityArg)}});
  return tails;
}
int bytes_of(const std::vector<Tail>& tails) {
  int bytes = 0;
  for (const Tail& tail : tails) bytes += tail.bytes;
  return bytes;
}

void write_params(Text& text, const ir::Pattern& pattern, const std::vector<Tail>& tails) {
  text.line("struct Params {{");
  text.line("  CallArg call;");
  if (!pattern.params.empty()) text.line("  u32 param[{}];", (pattern.params.size() + 1) / 2 * 2);
  if (!pattern.tensors.empty()) text.line("  TensorArg tensor[{}];", pattern.tensors.size());
  for (const Tail& tail : tails) text.line("  {} {};", tail.type, tail.name);
  text.line("}};");
  for (std::size_t i = 0; i < pattern.params.size(); ++i)
    text.line("// param[{}]: {}", i, pattern.params[i].name);
  for (std::size_t i = 0; i < pattern.tensors.size(); ++i)
    text.line("// tensor[{}]: {}", i, pattern.tensors[i].name);
}

std::string_view lengths_name(Lengths lengths) {
  constexpr std::string_view names[] = {"uniform", "padded", "packed"};
  return names[static_cast<int>(lengths)];
}

void write_results(Text& text, const Spec& spec, const plan::Pass& pass) {
  text.line("  using Out = {};", device_type(spec.output.value_or(spec.dtype)));
  // Sparsity is written where the statistic is.
  text.line("  static constexpr bool statistic = {};",
            spec.statistic || (spec.sparsity && is_weighed_by_entmax(pass)));
}

bool is_list_maker(const plan::Pass& pass) {
  return pass.kind == plan::PassKind::tile_lists || pass.kind == plan::PassKind::live_tiles;
}

/// What the passes of entmax know of α.
void write_entmax(Text& text, const plan::Plan& plan) {
  const int power = plan::entmax_power(plan.spec.pattern.tree());
  text.line("  static constexpr int power = {};", power);
  text.line("  static constexpr bool precise = {}, sparsity = {};", plan.spec.dtype == DType::f32,
            plan.spec.sparsity);
}

void write_products(Text& text, const plan::Plan& plan, const plan::Pass& pass,
                    plan::Variant variant) {
  const Spec& spec = plan.spec;
  const plan::Schedule& s = pass.schedule;
  const bool threshold = pass.kind == plan::PassKind::threshold;
  const bool materialise = pass.kind == plan::PassKind::materialise;
  const bool short_rows = pass.kind == plan::PassKind::short_rows;
  if (short_rows && pass.machine == plan::Machine::sm80)
    text.line("  using Machine = Sm80<Config, {}>;", plan::key_warps(pass));
  else
    text.line("  using Machine = {}<Config>;",
              pass.machine == plan::Machine::sm80 ? "Sm80" : "Fma");
  if (pass.kind == plan::PassKind::flash_forward)
    text.line("  using Weights = SoftmaxRows<Config>;");
  if (pass.kind == plan::PassKind::accumulate) text.line("  using Weights = EntmaxRows<Config>;");
  text.line("  using In = {};", device_type(spec.dtype));
  text.line("  static constexpr int head_dim = {}, value_dim = {};", spec.head_dim,
            threshold || materialise ? spec.head_dim : spec.value_dim);
  text.line("  static constexpr int tile_q = {}, tile_k = {}, warps = {}, stages = {};", s.tile_q,
            s.tile_k, s.warps, s.stages);
  text.line("  static constexpr bool aligned = {}, split = {}, packed_heads = {}, lists = {};",
            variant.aligned, pass.split, pass.packed_heads, pass.listed);
  if (threshold) {
    text.line("  static constexpr int granule_k = {};", pass.granule_k);
    write_entmax(text, plan);
    return;
  }
  if (materialise) {
    text.line("  static constexpr int capacity = {};", plan::materialise_capacity);
    write_entmax(text, plan);
    return;
  }
  if (short_rows) {
    text.line("  static constexpr int turns = {};", plan::turns_of(pass));
    text.line("  static constexpr bool escort = {};", spec.escort);
    write_entmax(text, plan);
    return;
  }
  if (pass.kind == plan::PassKind::accumulate) write_entmax(text, plan);
  text.line("  static constexpr bool escort = {}, one_walk = {};",
            pass.kind == plan::PassKind::accumulate && spec.escort,
            pass.kind == plan::PassKind::accumulate && plan::takes_one_walk(pass.machine, spec, s));
  // Weights of 16 bits show nothing of what a gap from threshold is off.
  const ir::Pattern& pattern = spec.pattern.tree();
  text.line("  static constexpr bool walks_again = {}, by_alpha = {};",
            pass.kind == plan::PassKind::accumulate && spec.dtype == DType::f32,
            ir::is_softmax_by_alpha(pattern) || plan::has_alpha_of_call(pattern));
}

void write_config(Text& text, const plan::Plan& plan, const plan::Pass& pass,
                  plan::Variant variant) {
  const Spec& spec = plan.spec;
  const plan::Schedule& s = pass.schedule;
  text.line("struct Config {{");
  text.line("  using Pattern = lacuna::Pattern;");
  if (pass.kind == plan::PassKind::combine) {
    text.line("  static constexpr int value_dim = {}, tile_q = {};", spec.value_dim, s.tile_q);
  } else if (pass.kind == plan::PassKind::gather) {
    text.line("  using In = {};", device_type(spec.dtype));
    text.line("  static constexpr int value_dim = {}, warps = {};", spec.value_dim, s.warps);
    text.line("  static constexpr bool aligned = {}, escort = {};", variant.aligned, spec.escort);
    write_entmax(text, plan);
  } else if (is_list_maker(pass)) {
    text.line("  static constexpr int tile_q = {}, tile_k = {};", s.tile_q, s.tile_k);
    text.line("  static constexpr bool packed_heads = false, classifies = {};",
              pass.kind == plan::PassKind::tile_lists);
  } else {
    write_products(text, plan, pass, variant);
  }
  if (!is_list_maker(pass) && pass.kind != plan::PassKind::threshold &&
      pass.kind != plan::PassKind::materialise)
    write_results(text, spec, pass);
  text.line("  static constexpr Lengths lengths = Lengths::{};", lengths_name(spec.lengths));
  text.line("}};");
}

/// Of the kernel: plan, route and variant.
std::string entry_of(const plan::Plan& plan, const plan::Pass& pass, plan::Variant variant) {
  const std::string of_plan = fmt::format("lacuna_{}_", plan.digest.substr(0, 16));
  if (!pass.varies() || is_list_maker(pass)) return of_plan + std::string(plan::name_of(pass.kind));
  const bool short_rows = pass.kind == plan::PassKind::short_rows;
  const std::string kind = pass.kind == plan::PassKind::flash_forward ? ""
                           : short_rows ? plan::name_of(pass) + "_"
                                        : std::string(plan::name_of(pass.kind)) + "_";
  const bool split = pass.split && pass.kind == plan::PassKind::flash_forward;
  return fmt::format("{}{}{}{}{}", of_plan, kind, split ? "split_" : "",
                     pass.listed ? "listed_" : "", variant.aligned ? "aligned" : "unaligned");
}

std::vector<std::string> includes_of(const plan::Pass& pass) {
  switch (pass.kind) {
    case plan::PassKind::flash_forward:
      return {"flash_forward.cuh", "weights/softmax.cuh",
              fmt::format("machine/{}.cuh", plan::name_of(pass.machine)), "ops.cuh"};
    case plan::PassKind::combine:
      return {"combine.cuh", "ops.cuh"};
    case plan::PassKind::tile_lists:
      return {"tiles/lists.cuh", "box_read.cuh", "ops.cuh"};
    case plan::PassKind::live_tiles:
      return {"tiles/lists.cuh"};
    case plan::PassKind::threshold:
      return {"threshold.cuh", fmt::format("machine/{}.cuh", plan::name_of(pass.machine)),
              "ops.cuh"};
    case plan::PassKind::accumulate:
      return {"flash_forward.cuh", "weights/entmax.cuh",
              fmt::format("machine/{}.cuh", plan::name_of(pass.machine)), "ops.cuh"};
    case plan::PassKind::materialise:
      return {"materialise.cuh", fmt::format("machine/{}.cuh", plan::name_of(pass.machine)),
              "ops.cuh"};
    case plan::PassKind::gather:
      return {"gather.cuh", "ops.cuh"};
    case plan::PassKind::short_rows:
      return {"short_rows.cuh", fmt::format("machine/{}.cuh", plan::name_of(pass.machine)),
              "ops.cuh"};
  }
  return {};
}

/// The type of a template whose `Shared` is the shared memory of a pass; "": it has no such type.
std::string_view shared_type_of(plan::PassKind kind) {
  switch (kind) {
    case plan::PassKind::flash_forward:
    case plan::PassKind::accumulate:
      return "FlashForward";
    case plan::PassKind::threshold:
      return "Threshold";
    case plan::PassKind::materialise:
      return "Materialise";
    case plan::PassKind::gather:
      return "Gather";
    case plan::PassKind::short_rows:
      return "ShortRows";
    default:
      return "";
  }
}

/// The function of a template that is the whole pass.
std::string_view function_of(plan::PassKind kind) {
  if (kind == plan::PassKind::accumulate) return plan::name_of(plan::PassKind::flash_forward);
  if (kind == plan::PassKind::live_tiles) return plan::name_of(plan::PassKind::tile_lists);
  return plan::name_of(kind);
}

}  // namespace

ParamLayout param_layout(const ir::Pattern& pattern) {
  ParamLayout layout;
  layout.params_at = sizeof(CallArg);
  layout.tensors_at = layout.params_at + static_cast<int>((pattern.params.size() + 1) / 2 * 8);
  layout.bytes = layout.tensors_at + static_cast<int>(pattern.tensors.size() * sizeof(TensorArg));
  return layout;
}

Source generate(const plan::Plan& plan, const plan::Pass& pass, plan::Variant variant) {
  const Spec& spec = plan.spec;
  const ir::Pattern& pattern = spec.pattern.tree();
  Source source;
  source.name = pattern.name + ".cu";
  source.entry = entry_of(plan, pass, variant);
  source.threads = pass.threads();
  source.shared_bytes = pass.shared_bytes;
  const std::vector<Tail> tails = tails_of(pass, spec);
  source.param_bytes = param_layout(pattern).bytes + bytes_of(tails);

  Text text(source.name);
  text.line("// lacuna {}: attention {}, {} on machine/{}", LACUNA_VERSION, pattern.name,
            plan::name_of(pass.kind), plan::name_of(pass.machine));
  for (const std::string& file : includes_of(pass)) text.line("#include \"{}\"", file);
  if (pass.kind == plan::PassKind::threshold && plan::inverts(spec))
    text.line("#include \"inverse.cuh\"");
  text.line("namespace lacuna {{");
  write_params(text, pattern, tails);
  write_pattern(text, plan, pass);
  write_config(text, plan, pass, variant);
  text.line(
      "static_assert(sizeof(Params) == {}, \"host and device disagree about the parameters\");",
      source.param_bytes);
  if (const std::string_view type = shared_type_of(pass.kind); !type.empty())
    text.line(
        "static_assert(sizeof({}<Config, Params>::Shared) == {}, \"host and device disagree about "
        "shared memory\");",
        type, source.shared_bytes);
  text.line("}}  // namespace lacuna");
  text.line("LACUNA_KERNEL void LACUNA_BOUNDS({}, 1) {}(LACUNA_GRID_CONST lacuna::Params p) {{",
            source.threads, source.entry);
  text.line("  lacuna::{}<lacuna::Config>(p);", function_of(pass.kind));
  text.line("}}");
  source.text = text.take();
  return source;
}

}  // namespace lacuna::codegen
