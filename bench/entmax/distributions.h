#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace lacuna::bench {

/// What scores of one causal head look like, as far as a threshold pass cares: how many keys stand
/// near a row's maximum, where they are, and in which order a pass meets them. Of z = q·k / √D:
enum class Scores : std::uint8_t {
  iid,         ///< normal of deviation sigma, whatever the position
  clustered,   ///< passages on one of 64 topics each: two fifths of the variance are the topic's
  local,       ///< 5 at the diagonal and falling with the distance, 4 sigma at the first 4 keys,
               ///< and noise of deviation sigma
  correlated,  ///< clustered keys, and 128 queries in a row that ask for much the same
  ascending,   ///< from the diagonal backwards, as a pass visits them, each key a little higher:
               ///< by 64 sigma / √D from the last to the first, and noise of deviation sigma
};
inline constexpr Scores all_scores[] = {Scores::iid, Scores::clustered, Scores::local,
                                        Scores::correlated, Scores::ascending};
constexpr std::string_view name_of(Scores scores) {
  constexpr std::string_view names[] = {"iid", "clustered", "local", "correlated", "ascending"};
  return names[static_cast<int>(scores)];
}

struct Distribution {
  Scores scores = Scores::iid;
  double sigma = 1;
  std::int64_t rows = 0;  ///< queries and keys
  int head_dim = 64;
  std::uint64_t seed = 0;
};

/// Q and K of one head, [rows, head_dim] each, to be used with scale 1/√D. The same for the same
/// distribution, and K for every sigma but under `local`.
struct Operands {
  std::vector<float> q, k;
};
Operands draw(const Distribution& distribution);

}  // namespace lacuna::bench
