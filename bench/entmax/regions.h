// Which part of the templates an instruction is counted for.
#pragma once
#include "bench/laboratory/trace.h"

#include <map>
#include <string>

namespace lacuna::bench {

struct Counted {
  std::map<std::string, double> by_region;  ///< of a score, without moves
  double rest = 0, moves = 0;
};
Counted counted(const Counts& counts, double scores);

void print(const char* pass, const Counted& sums);
/// What a score takes of each line of the templates, the dearest first.
void print_lines(const Counts& counts, double scores);

}  // namespace lacuna::bench
