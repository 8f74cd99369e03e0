#pragma once
#include "lacuna/engine.hpp"

#include "compiler/ir/pattern.h"
#include "compiler/plan/arch.h"
#include "compiler/plan/band.h"
#include "compiler/plan/schedule.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::plan {

/// How a conjunct of the mask is carried out (design §1).
enum class Strategy : std::uint8_t {
  select_q,  ///< compact Q
  select_k,  ///< compact K and V
  order,     ///< stable order by value, then intervals
  band,      ///< closed-form key range per query tile
  tiles,     ///< tiles classified by interval analysis
  elements,  ///< tested element by element in every visited tile
};
std::string_view name_of(Strategy strategy);

/// One conjunct of the masks: `a and b` is two, and each falls to one strategy.
struct Conjunct {
  ir::NodeId expr = ir::no_node;
  Span where;
  std::string text;  ///< canonical text of the conjunct
  Strategy taken = Strategy::elements;
  Strategy best = Strategy::elements;  ///< what a planner with every strategy would take
  std::string why;
  bool as_wished = false;   ///< `plan elements` decided
  std::vector<Band> bands;  ///< where taken is band: their intersection is the conjunct, exactly
  bool key_only =
      false;  ///< depends on the key but not on the query: rows of K and V are zero-filled by it
};

enum class PassKind : std::uint8_t {
  flash_forward,
  combine,
  tile_lists,
  threshold,   ///< of entmax (entmax.h)
  live_tiles,  ///< lists of what threshold leaves
  accumulate,
  materialise,  ///< of entmax, for few queries (materialise.h)
  gather,       ///< of what materialise leaves
  short_rows,   ///< of entmax, all of it (short_rows.h)
};
std::string_view name_of(PassKind kind);

struct Pass {
  PassKind kind = PassKind::flash_forward;
  Machine machine = Machine::fma;
  Schedule schedule;
  std::vector<Schedule> others =
      {};                     ///< legal too, best first: taken where a compiler's log shows spills
  bool split = false;         ///< CTAs share the keys of a query tile, and leave parts of a result
  bool packed_heads = false;  ///< the rows of a tile are (query, head of the group) pairs
  bool listed = false;  ///< it visits the tiles of lists (lists.h), which a pass before it makes
  int shared_bytes = 0;
  int ctas_per_sm = 1;  ///< of a split pass, and of threshold: with so many the SMs count as filled
  int granule_k = 0;    ///< of threshold: keys of a tile of accumulate
  int most_keys = 0;    ///< of short_rows: so many have room
  /// Whether its code depends on Variant::aligned.
  bool varies() const { return kind != PassKind::combine; }
  int threads() const { return schedule.warps * 32; }
};

/// "flash_forward", or "flash_forward_split", "flash_forward_listed" and "short_rows_64" of several
/// of a kind.
std::string name_of(const Pass& pass);

/// What a kernel is specialised for besides the plan (design §3): at most four per spec.
struct Variant {
  bool aligned = true;  ///< every row of Q, K, V and O starts on 16 bytes
  auto operator<=>(const Variant&) const = default;
};

/// What lists of tiles need to know of a mask.
struct ListTraits {
  bool by_batch = false;    ///< it depends on b or on a tensor by it; implied where sequences are
                            ///< padded, or a call gives an offset to each
  bool by_head = false;     ///< it depends on h
  bool by_kv_head = false;  ///< on g; with by_head of no consequence
  int key_values = 0;       ///< of the pattern, whose spans are summarised by key tile
  bool transposed = false;  ///< the lists by key tile are wanted too
};

/// What planning may know about the world.
struct Facts {
  Arch arch;
  int multiprocessors = 0;  ///< of the GPU; 0: the architecture's
  bool checked = false;     ///< generated code reports needed reads outside their tensor
  std::optional<Schedule> schedule = {};  ///< asked for by name; else the model's choice
};

struct Plan {
  Spec spec;
  Facts facts;
  std::vector<Conjunct> conjuncts;
  std::vector<Pass> passes;      ///< each once; route.h says which a call takes
  ListTraits lists = {};         ///< where there is a listed route
  std::string unpacked_by = {};  ///< the conjunct for which decode does not pack heads; "": it does
  std::vector<Variant> variants;
  std::string digest;  ///< 32 hex digits of everything above
};

/// The pass that visits what lists of the masks' tiles leave; null: the plan makes none.
const Pass* list_reader(const Plan& plan);

/// How many of a pass's other schedules may be tried after one whose code spills; whatever bounds
/// the passes of a plan covers them.
inline constexpr std::size_t most_tried = 3;

/// Throws Error{unsupported} for what no kernel offers yet, Error{argument} for a spec out of its
/// limits or a schedule that is not legal here.
Plan plan(const Spec& spec, const Facts& facts);

/// The pass with one of its other schedules.
Pass with_schedule(const Plan& plan, const Pass& pass, const Schedule& schedule);

/// The grid of a pass: CTAs over splits of the keys, query tiles, heads and sequences. Throws
/// Error{argument} above 2^31 - 1 CTAs.
struct Grid {
  std::int32_t q_tiles = 0;  ///< per head; see CallArg::q_tiles
  std::uint64_t blocks = 0;  ///< 0: nothing to do
};
Grid grid(const Pass& pass, const Spec& spec, const Shape& shape, int splits = 1);

}  // namespace lacuna::plan
