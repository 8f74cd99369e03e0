#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace lacuna::test {

/// One head of one sequence, as `Place` of templates/tensor.cuh.
struct Site {
  int b = 0, h = 0;
  int q_len = 0, k_len = 0, q_start = 0, k_start = 0, offset = 0;
};

/// A tensor of a pattern by batch, head, row and column; an extent of 1 broadcasts.
struct PatternTensor {
  std::array<int, 4> extents{};
  std::vector<std::int32_t> values;
  int size() const { return extents[0] * extents[1] * extents[2] * extents[3]; }
  std::int32_t at(int b, int h, int i, int j = 0) const;
};

struct PatternData {
  std::array<PatternTensor, 2> tensors;
  std::int32_t number = 0;  ///< params.number
};

/// Extents as a call has them: batch is 1 where sequences are packed.
struct Extents {
  int batch = 1, heads = 1, queries = 0, keys = 0;
};

/// How much of a box attends, first and last row and key of a sequence.
enum class Share { none, some, all };
using Decide = std::function<Share(const PatternData&, const Site&, int, int, int, int)>;

/// A Pattern written by hand, and the same mask on the host.
struct TilePattern {
  std::string name;
  bool by_batch = false, by_head = false;
  int query_values = 0, key_values = 0;
  bool needs_elements = false;
  /// Bodies of query_at, key_at (into `out`), classify, attends, narrow.
  std::string query_at, key_at, classify, attends, narrow;
  std::function<PatternData(const Extents&, std::mt19937&)> draw;
  /// Of a query's row and a key in the sequence.
  std::function<bool(const PatternData&, const Site&, int, int)> live;
  /// What classification promises where that is less than the exact answer.
  Decide decide = {};
};

const std::vector<TilePattern>& tile_patterns();
const TilePattern& tile_pattern(const std::string& name);

/// The whole source of its tile lists. `lengths`: uniform, padded or packed.
std::string tile_source(const TilePattern& pattern, const std::string& lengths, int tile_q,
                        int tile_k);

}  // namespace lacuna::test
