#include "tests/mutants/cases.h"

#include <cmath>

namespace lacuna::tests {
namespace {

Pattern parse(const std::string& body) {
  return Pattern::parse("attention mutant {\n" + body + "\n}\n", "mutant.lac");
}

/// Rows of Q from `first` on are so small that all keys have nearly the same weight: their
/// candidates are too many for lists.
auto flat_from(std::int64_t first) {
  return [first](char matrix, std::int64_t row, int, double drawn) {
    return matrix == 'q' && row >= first ? drawn * 0x1p-6 : drawn;
  };
}

}  // namespace

void add_entmax_cases(std::vector<Case>& all) {
  // The last two tiles of queries have flat rows, the first has none. The lists of rows 48 on lie
  // before those of rows that are not flat.
  all.push_back({.name = "entmax",
                 .spec = {.pattern = parse("mask causal\nmask window(300)\nweights entmax(1.5)"),
                          .dtype = DType::bf16,
                          .statistic = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 2, 1, 75, 430},
                 .offsets = {353},
                 .value = [](char matrix, std::int64_t row, int, double drawn) {
                   const bool flat = row >= 60 || (row >= 48 && row < 56);
                   return matrix == 'q' && flat ? drawn * 0x1p-6 : drawn;
                 }});
  // The escort in the walk of O, and where a warp has 32 rows in one of its own.
  all.push_back(all.back());
  all.back().name = "entmax escort";
  all.back().spec.escort = true;
  all.back().spec.value_dim = 40;
  all.push_back(all.back());
  all.back().name = "entmax twice";
  all.back().schedule = "32x32w1s2";
  // Lists of the mask first, then those of what is live in them; powers of any kind.
  all.push_back(
      {.name = "entmax documents",
       .spec = {.pattern = parse("tensor dq: i32[head, query]\ntensor dk: i32[head, key]\nmask "
                                 "q // 72 == k // 72 or dq[h, q] == dk[h, k]\nscore softcap(score, "
                                 "8.0)\nweights entmax(1.3)"),
                .dtype = DType::f16,
                .head_dim = 72,
                .value_dim = 40,
                .statistic = true,
                .lengths = Lengths::packed},
       .schedule = "32x16w2s2",
       .shape = {3, 2, 1, 120, 150},
       .q_lens = {0, 37, 50, 120},
       .k_lens = {0, 60, 60, 150},
       .route = {.listed = true}});
  all.push_back({.name = "entmax f32",
                 .spec = {.pattern = parse("mask causal\nweights entmax(1.25)"),
                          .dtype = DType::f32,
                          .head_dim = 24,
                          .value_dim = 40,
                          .statistic = true},
                 .schedule = "16x16w2s1",
                 .shape = {1, 2, 1, 20, 620},
                 .value = flat_from(16)});
  // Of 64 keys one has nearly all weight and key 47, the last of a tile, the 2^-13 that is left: it
  // lies closer to the threshold than gates do.
  all.push_back({.name = "entmax barely",
                 .spec = {.pattern = parse("weights sparsemax"),
                          .dtype = DType::f32,
                          .head_dim = 8,
                          .value_dim = 8,
                          .statistic = true},
                 .schedule = "16x16w2s1",
                 .shape = {1, 1, 1, 16, 64},
                 .scale = 1.0f,
                 .value = [](char matrix, std::int64_t row, int column, double drawn) {
                   if (matrix == 'v') return drawn;
                   if (column != 0) return 0.0;
                   if (matrix == 'q') return 1.0;
                   return row == 5 ? 0.0 : row == 47 ? -1.0 + 0x1p-12 : -10.0;
                 }});
  // Of the keys one, in the tile walked second, has a score beside which the gate of before is
  // nothing: 2^19 to 2^31, whose fourth power is in range, and in the last rows 2^126.
  all.push_back({.name = "entmax leap",
                 .spec = {.pattern = parse("weights entmax(1.25)"),
                          .dtype = DType::f32,
                          .head_dim = 8,
                          .value_dim = 8,
                          .statistic = true},
                 .schedule = "16x16w2s1",
                 .shape = {1, 1, 1, 64, 64},
                 .scale = 1.0f,
                 .value = [](char matrix, std::int64_t row, int column, double drawn) {
                   if (matrix == 'v') return drawn;
                   if (column != 0) return 0.0;
                   if (matrix == 'k') return row == 50 ? 0x1p63 : drawn;
                   return std::ldexp(1.0 + std::fmin(std::fabs(drawn), 0.99),
                                     row < 60 ? static_cast<int>(row) / 5 - 44 : 63);
                 }});
  // Two keys alone would have weights that sum to 0.9; the other 4094, all alike, share what is
  // left.
  all.push_back({.name = "entmax crowd",
                 .spec = {.pattern = parse("weights sparsemax"),
                          .dtype = DType::bf16,
                          .head_dim = 16,
                          .value_dim = 8,
                          .statistic = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 1, 1, 20, 4096},
                 .scale = 1.0f,
                 .value = [](char matrix, std::int64_t row, int column, double drawn) {
                   if (matrix == 'v') return drawn;
                   if (column != 0) return 0.0;
                   return matrix == 'q' ? 1.0 : row == 100 || row == 2000 ? 0.44921875 : 0.0;
                 }});
  // Scores around -24000: sums that begin with another number round otherwise.
  all.push_back({.name = "entmax shifted",
                 .spec = {.pattern = parse("weights entmax(1.5)"),
                          .dtype = DType::f16,
                          .value_dim = 24,
                          .statistic = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 4, 4, 20, 330},
                 .value = [](char matrix, std::int64_t, int column, double drawn) {
                   if (matrix == 'v') return 1.0 + drawn * 0x1p-4;
                   if (column == 63) return matrix == 'q' ? -240.0 : 800.0;
                   return drawn;
                 }});
  // As K is walked scores ascend, so that every second key is a candidate until gates have risen.
  all.push_back({.name = "entmax ascending",
                 .spec = {.pattern = parse("weights entmax(1.5)"),
                          .dtype = DType::bf16,
                          .value_dim = 24,
                          .statistic = true,
                          .escort = true},
                 .schedule = "64x32w2s4",
                 .shape = {1, 1, 1, 64, 1300},
                 .value = [](char matrix, std::int64_t row, int column, double drawn) {
                   if (matrix == 'v') return drawn;
                   if (column != 0) return 0.0;
                   return matrix == 'q'              ? 8.0
                          : row < 64 || row % 2 != 0 ? 0.0
                                                     : static_cast<double>(1300 - row) / 128;
                 }});
  all.push_back({.name = "entmax sparsity",
                 .spec = {.pattern = parse("mask causal\nmask window(300)\nweights entmax(1.5)"),
                          .dtype = DType::bf16,
                          .statistic = true,
                          .sparsity = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 2, 1, 75, 430},
                 .offsets = {353},
                 .value = flat_from(60)});
  // Too many keys for lists, and fewer at each walk: all rows ask for the same, so that those of
  // one are those of its tile.
  const auto alike = [](double spread) {
    return [spread](char matrix, std::int64_t, int column, double drawn) {
      return matrix != 'q' ? drawn : column % 2 == 0 ? spread : -spread;
    };
  };
  all.push_back({.name = "entmax sparsity flat",
                 .spec = {.pattern = parse("weights entmax(1.5)"),
                          .dtype = DType::bf16,
                          .statistic = true,
                          .sparsity = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 4, 4, 20, 1100},
                 .value = alike(0.2)});
  // Gates that pass back through the score of every second head; the others fall. Those of the
  // first rows lie below what all their scores are cut off at.
  all.push_back({.name = "entmax capped",
                 .spec = {.pattern = parse("mask causal\nmask window(200)\nscore "
                                           "max(softcap(score * 2.0, 6.0) * (1.0 - 2.0 * f32(h % "
                                           "2)), 1.0) - 0.25\nweights entmax(1.5)"),
                          .dtype = DType::f16,
                          .value_dim = 24,
                          .statistic = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 2, 1, 75, 430},
                 .offsets = {353},
                 .value = [](char matrix, std::int64_t row, int, double drawn) {
                   return matrix == 'q' && row < 32 ? drawn * 0x1p-4 : drawn;
                 }});
  // More keys than the room of one tile has bits for.
  all.push_back({.name = "entmax far",
                 .spec = {.pattern = parse("mask causal\nmask window(70)\nweights entmax(2)"),
                          .dtype = DType::f32,
                          .head_dim = 8,
                          .value_dim = 8,
                          .statistic = true},
                 .schedule = "16x16w2s1",
                 .shape = {1, 1, 1, 5, 22000}});
  // Two splits of two rounds. The scores of the first query are alike in the first round of each,
  // and spread in the second, farthest in the last; those of the second query are as drawn.
  all.push_back({.name = "entmax few",
                 .spec = {.pattern = parse("mask causal\nweights entmax(1.5)"),
                          .dtype = DType::bf16,
                          .value_dim = 24,
                          .statistic = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 4, 2, 2, 1700},
                 .route = {.decode = true, .splits = 2},
                 .value = [](char matrix, std::int64_t row, int column, double drawn) {
                   if (matrix == 'v') return drawn;
                   if (matrix == 'q') return row == 0 ? (column == 0 ? 8.0 : 0.0) : drawn;
                   if (column != 0) return drawn;
                   if (row < 512) return 0.0;
                   return row < 896 ? 0.25 * drawn : row < 1408 ? 0.5 : drawn;
                 }});
  // The first keys have products near -10^6, as masks in a column of K give them. Those of the
  // last tile, which comes next, have all the weight.
  all.push_back({.name = "entmax far products",
                 .spec = {.pattern = parse("weights sparsemax"),
                          .dtype = DType::bf16,
                          .head_dim = 16,
                          .value_dim = 24,
                          .statistic = true},
                 .schedule = "32x32w2s2",
                 .shape = {1, 1, 1, 20, 330},
                 .scale = 1.0f,
                 .value = [](char matrix, std::int64_t row, int column, double drawn) {
                   if (column != 15 || matrix == 'v') return matrix == 'k' ? drawn / 8 : drawn;
                   return matrix == 'q' ? 1.0 : row < 70 ? -0x1p20 : row < 320 ? 0.0 : 8.0;
                 }});
  // Short rows: tiles of 64 queries, two warps to a row, turns of which some have no weight.
  all.push_back({.name = "entmax short",
                 .spec = {.pattern = parse("mask causal\nmask window(150)\nweights entmax(1.5)"),
                          .dtype = DType::bf16,
                          .value_dim = 40,
                          .statistic = true,
                          .escort = true,
                          .lengths = Lengths::padded},
                 .schedule = "32x32w2s2",
                 .shape = {1, 2, 1, 75, 430},
                 .q_lens = {73},
                 .k_lens = {430},
                 .offsets = {353},
                 .route = {.short_rows = 5},
                 .value = [](char matrix, std::int64_t row, int column, double drawn) {
                   // Of row 70 the last keys have all weight, of others any.
                   if (matrix == 'q' && row == 70) return column == 0 ? 32.0 : 0.0;
                   return matrix == 'k' && column == 0 ? (row > 400 ? 4.0 : -4.0) : drawn;
                 }});
}

}  // namespace lacuna::tests
