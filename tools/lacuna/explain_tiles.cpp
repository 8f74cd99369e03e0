#include "tools/lacuna/explain_tiles.h"

#include "tools/lacuna/execute.h"
#include "tools/lacuna/head.h"
#include "tools/lacuna/options.h"

#include <fmt/format.h>

#include <algorithm>

namespace lacuna::tool {
namespace {

/// What the score alone reads stands in for itself: no tile depends on it.
std::vector<NamedTensor> with_score_tensors(const Spec& spec, const Shape& shape,
                                            std::span<const NamedTensor> given) {
  std::vector<NamedTensor> all(given.begin(), given.end());
  for (const ir::Tensor& tensor : spec.pattern.tree().tensors) {
    auto same = [&](auto& one) { return one.name == tensor.name; };
    if (std::none_of(given.begin(), given.end(), same))
      all.push_back({tensor.name, shape_only(ir::storage_of(spec, tensor), tensor, shape)});
  }
  return all;
}

std::vector<std::string> with_score_params(const ir::Pattern& pattern,
                                           std::vector<std::string> texts,
                                           const std::vector<Named>& given) {
  for (const ir::Param& param : pattern.params) {
    auto same = [&](auto& one) { return one.name == param.name; };
    if (!param.initial && std::none_of(given.begin(), given.end(), same))
      texts.push_back(param.name + (param.type == ir::Type::boolean ? "=true" : "=1"));
  }
  return texts;
}

Json counts_json(const plan::TileCounts& counts) {
  return {{"full", counts.full}, {"partial", counts.partial}, {"skipped", counts.skipped}};
}

}  // namespace

void TileFlags::add_to(CLI::App& command) {
  add_value(command, "--head", head, "H", "whose tiles are counted (default: 0)");
  add_value(command, "--batch", batch, "B",
            "of which sequence (default: all where lengths are given, else 0)");
  add_repeated(command, "--param", params, "NAME=X", "a param that the masks need");
  add_repeated(command, "--tensor", tensors, "NAME=F.npy", "a tensor that the masks need");
  add_lengths(command, lengths);
  command.add_flag("--minimum", minimum,
                   "with the fewest tiles that any kernel could visit, by looking at every pair");
}

TiledCall::TiledCall(const ir::Pattern& pattern, const TileFlags& flags) : flags_(flags) {
  inputs_.tensors = read_tensors(pattern, flags.tensors);
  read_lengths(flags.lengths, inputs_);
}

SpecFlags TiledCall::with(SpecFlags spec) const {
  for (auto& [name, array] : inputs_.tensors)
    spec.storage.push_back(fmt::format("{}={}", name, name_of(array.dtype)));
  const Lengths lengths = inputs_.lengths();
  if (lengths != Lengths::uniform && spec.lengths == "uniform")
    spec.lengths = lengths == Lengths::packed ? "packed" : "padded";
  return spec;
}

std::optional<plan::HeadTiles> TiledCall::count(const plan::Plan& plan, const Shape& shape) {
  Spec spec = plan.spec;
  const bool given_lengths = inputs_.lengths() != Lengths::uniform;
  const auto given = parse_named("--param", flags_.params);
  if (shape.batch == 0 && flags_.batch.empty()) return plan::head_tiles(plan, shape, {}, false);
  const std::int64_t h = index_below("--head", flags_.head, shape.heads);
  const bool all = given_lengths && flags_.batch.empty();
  const std::int64_t b =
      all ? 0 : index_below("--batch", flags_.batch.empty() ? "0" : flags_.batch, shape.batch);
  if (spec.lengths == Lengths::packed && !given_lengths) return {};
  if (!given_lengths) spec.lengths = Lengths::uniform;  // padded: of a sequence as long as any
  for (const plan::Needed& needed : plan::needed_by_masks(plan)) {
    auto same = [&](auto& one) { return one.name == needed.name; };
    auto brought = [&](auto& one) { return one.first == needed.name; };
    if (needed.tensor ? std::none_of(inputs_.tensors.begin(), inputs_.tensors.end(), brought)
                      : std::none_of(given.begin(), given.end(), same))
      return {};
  }
  const ir::Pattern& pattern = spec.pattern.tree();
  inputs_.params = bind_params(pattern, with_score_params(pattern, flags_.params, given));
  HostCall host(inputs_, nullptr);
  Args args = host.args();
  const std::vector<NamedTensor> tensors = with_score_tensors(spec, shape, args.tensors);
  args.tensors = tensors;
  const std::int64_t batch = spec.lengths == Lengths::packed ? 1 : shape.batch;
  args.q = shape_only(spec.dtype, {batch, shape.heads, shape.queries, spec.head_dim});
  args.k = shape_only(spec.dtype, {batch, shape.kv_heads, shape.keys, spec.head_dim});
  const Head head(spec, args, h);
  std::vector<plan::HeadCall> sequences;
  for (std::int64_t s = b; s < (all ? head.sequences() : b + 1); ++s)
    sequences.push_back(head.sequence(s));
  return plan::head_tiles(plan, shape, sequences, flags_.minimum);
}

Json tiles_json(const plan::HeadTiles& tiles) {
  if (!tiles.unknown.empty()) return {{"unknown", tiles.unknown}};
  const plan::Reasons& why = tiles.counts.reasons;
  Json json = counts_json(tiles.counts);
  json["sequences"] = tiles.sequences;
  json["outside_bands"] = why.outside;
  json["tested"] = {{"tiles", why.tested}, {"skipped", why.emptied}, {"full", why.filled}};
  if (tiles.least) {
    json["fewest"] = counts_json(*tiles.least);
    json["fewest"]["looked_at"] =
        tiles.look == plan::Look::everywhere ? "every tile" : "PARTIAL tiles";
  }
  return json;
}

}  // namespace lacuna::tool
