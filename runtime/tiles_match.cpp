#include "runtime/tiles.h"

#include <fmt/format.h>

#include <bit>

namespace lacuna::runtime {
namespace {

template <typename... Parts>
[[noreturn]] void reject(fmt::format_string<Parts...> text, Parts&&... parts) {
  throw Error(ErrorKind::argument, "tiles: " + fmt::format(text, std::forward<Parts>(parts)...));
}

void require_same_device(const Device& made, const Device& wanted) {
  if (&made == &wanted) return;
  const bool host = made.kind() == DeviceKind::host;  // all of them share its memory
  const bool same =
      made.kind() == wanted.kind() && (host || made.description() == wanted.description());
  if (!same)
    reject("made on {}, this program runs on {}", made.description(), wanted.description());
}

/// Masks that differ: the first of them, by its text.
[[noreturn]] void reject_masks(const plan::Plan& made, const plan::Plan& wanted) {
  const std::string &from = made.spec.pattern.name(), &to = wanted.spec.pattern.name();
  for (std::size_t i = 0; i < std::max(made.conjuncts.size(), wanted.conjuncts.size()); ++i) {
    const auto text = [i](const plan::Plan& plan) {
      return i < plan.conjuncts.size() ? fmt::format("mask {}", plan.conjuncts[i].text)
                                       : std::string("no further mask");
    };
    if (text(made) != text(wanted))
      reject("made for attention '{}' with {}, attention '{}' has {}", from, text(made), to,
             text(wanted));
  }
  reject(
      "made for attention '{}', whose masks read params or tensors of other types or axes than "
      "those of attention '{}'",
      from, to);
}

std::string_view name_of(Lengths lengths) {
  constexpr std::string_view names[] = {"uniform", "padded", "packed"};
  return names[static_cast<int>(lengths)];
}

void require_same_masks(const Planned& made, const Planned& wanted) {
  if (&made == &wanted) return;
  if (const Lengths a = made.plan.spec.lengths, b = wanted.plan.spec.lengths; a != b)
    reject("made for {} lengths, this program has {} ones", name_of(a), name_of(b));
  if (made.masks.digest != wanted.masks.digest) reject_masks(made.plan, wanted.plan);
}

void require_same_shape(const Shape& made, const Shape& wanted) {
  const auto check = [](std::string_view name, std::int64_t a, std::int64_t b) {
    if (a != b) reject("made for {} = {}, this call has {}", name, a, b);
  };
  check("batch", made.batch, wanted.batch);
  check("heads", made.heads, wanted.heads);
  check("kv_heads", made.kv_heads, wanted.kv_heads);
  check("queries", made.queries, wanted.queries);
  check("keys", made.keys, wanted.keys);
}

void require_same_presence(std::string_view name, bool made, bool wanted) {
  if (made == wanted) return;
  reject("made {} {}, this call has {}", made ? "with" : "without", name, wanted ? "them" : "none");
}

std::string text_of(ir::Type type, std::uint32_t bits) {
  if (type == ir::Type::boolean) return bits ? "true" : "false";
  if (type == ir::Type::f32) return fmt::format("{}", std::bit_cast<float>(bits));
  return fmt::format("{}", static_cast<std::int32_t>(bits));
}

}  // namespace

TilesKey tiles_key(const Planned& planned, const plan::Pass& reader, const Args& args,
                   const ir::Call& call) {
  TilesKey key{.shape = call.shape,
               .tile_q = reader.schedule.tile_q,
               .tile_k = reader.schedule.tile_k,
               .offsets = args.offsets.present(),
               .q_lens = args.q_lens.present(),
               .k_lens = args.k_lens.present()};
  if (call.has_offset)
    key.offset = call.offset;
  else if (planned.plan.spec.lengths == Lengths::uniform && !key.offsets)
    key.offset = call.shape.keys - call.shape.queries;
  for (const std::uint32_t index : planned.masks.params) key.params.push_back(call.params[index]);
  return key;
}

void require_same_place(const TilesKey& made, const TilesKey& wanted) {
  require_same_shape(made.shape, wanted.shape);
  require_same_presence("offsets of each sequence", made.offsets, wanted.offsets);
  require_same_presence("q_lens", made.q_lens, wanted.q_lens);
  require_same_presence("k_lens", made.k_lens, wanted.k_lens);
}

void require_match(const TilesState& tiles, const EngineState& engine, const Planned& planned,
                   const TilesKey& wanted) {
  const TilesKey& made = tiles.key;
  require_same_device(*tiles.engine->device, *engine.device);
  require_same_masks(*tiles.planned, planned);
  require_same_place(made, wanted);
  if (made.tile_q != wanted.tile_q || made.tile_k != wanted.tile_k)
    reject(
        "made for {}x{} tiles, this pass reads {}x{}; EngineOptions::schedule can give programs "
        "the same",
        made.tile_q, made.tile_k, wanted.tile_q, wanted.tile_k);
  for (std::size_t i = 0; i < wanted.params.size(); ++i) {
    const ir::Param& param = planned.plan.spec.pattern.tree().params[planned.masks.params[i]];
    if (made.params[i] != wanted.params[i])
      reject("made with param '{}' = {}, this call has {}; refresh them", param.name,
             text_of(param.type, made.params[i]), text_of(param.type, wanted.params[i]));
  }
  const auto offset = [](const TilesKey& key) {
    return key.offset ? fmt::format("{}", *key.offset) : std::string("none");
  };
  if (made.offset != wanted.offset)
    reject("made with offset {}, this call has {}; refresh them", offset(made), offset(wanted));
  if (!tiles.made) reject("they were not made: a launch failed; refresh them");
}

}  // namespace lacuna::runtime
