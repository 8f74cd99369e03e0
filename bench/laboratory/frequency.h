// How often a tile goes through each piece of machine code.
//
// Nothing here executes SASS. But ptxas notes the PTX line of every SASS instruction, and the host
// device executes that very PTX: so a SASS block is executed as often as the PTX that it came from.
// 1. Launches that differ in their number of CTAs, FULL and PARTIAL tiles, and warps of these that
//    see nothing, tell, by a linear fit, how often each PTX statement is executed for one tile of
//    either kind, and what such a warp saves. What is outside of the main loop costs a tile
//    nothing, an inner loop counts by its trips, and the FULL way through the loop body is what
//    has a FULL cost: no loop needs to be found in the disassembly.
// 2. The disassembly is cut into basic blocks at labels and branches. ptxas moves single
//    instructions from block to block, but blocks stay: each takes the cost that most of its
//    instructions vote for, those that cannot move (memory, products, shuffles, barriers)
//    with more weight.
// 3. What stays one to one from PTX to SASS (mma, ldmatrix, cp.async, ex2, shfl, bar) tells where
//    ptxas has unrolled or copied a loop: of n copies of a statement each is executed an nth of its
//    times. Other statements that are executed as often are taken to be copied as often.
// 4. The same instructions must then come out equal in both counts; where they do not, blocks were
//    misjudged, and the study says so.
#pragma once
#include "bench/laboratory/fit.h"
#include "bench/laboratory/sass.h"
#include "bench/laboratory/trace.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::bench {

/// What a PTX statement costs a CTA, a tile, and a warp that sees nothing, in warp-instructions.
struct StatementCost {
  int line = 0;
  std::string opcode;
  Fit::Cost executions;
};

/// The cost of every block, in the order of the blocks.
std::vector<Fit::Cost> block_costs(const std::vector<SassBlock>& blocks,
                                   const std::vector<StatementCost>& statements);

/// Something whose instructions are counted: "FULL tile", and what it is made of.
struct Piece {
  std::string_view name;
  Causes causes;
};

/// One sentence for each piece and kind of instruction whose counts differ between PTX and SASS.
std::vector<std::string> imbalances(const std::vector<SassBlock>& blocks,
                                    const std::vector<Fit::Cost>& costs,
                                    const std::vector<StatementCost>& statements,
                                    const std::vector<Piece>& pieces);

/// The PTX that a cubin with line information carries, comments removed, lines kept; "" where it
/// carries none. Throws Error{unsupported} where the bytes are not a 64-bit ELF file.
std::string embedded_ptx(std::string_view cubin);

}  // namespace lacuna::bench
