// Machine code as the laboratory reads and weighs it.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/random.h"

#include "bench/laboratory/frequency.h"

#include <random>

namespace lacuna::bench::test {

TEST_CASE("a disassembly is read into blocks with PTX lines") {
  const auto blocks = parse_sass(R"(
	.section	.text.k,"ax",@progbits
.text.k:
	//## File ".nv_debug_ptx_txt", line 41
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 BRA `(.L_x_1) ;
	//## File ".nv_debug_ptx_txt", line 50
        /*0020*/                   HFMA2.MMA R2, -RZ, RZ, 0, 0 ;
.L_x_1:
        /*0030*/               @P1 CALL.REL.NOINC `(.L_x_1) ;
        /*0040*/                   CALL.REL.NOINC `($__internal_0_$__cuda_sm3x_div) ;
        /*0050*/                   EXIT ;
$__internal_0_$__cuda_sm3x_div:
        /*0060*/                   NOP;
)");
  REQUIRE(blocks.size() == 6);
  CHECK(blocks[0].code.size() == 2);
  CHECK(blocks[0].code[1].opcode == "BRA");
  CHECK(blocks[0].code[1].ptx_line == 41);
  CHECK(blocks[1].code[0].ptx_line == 50);
  CHECK(blocks[1].code[0].kind == Class::move);
  CHECK_FALSE(blocks[2].slow_path);
  CHECK(blocks[3].slow_path);
  CHECK_FALSE(blocks[4].slow_path);
  CHECK(blocks[5].slow_path);
  CHECK(blocks[5].code[0].opcode == "NOP");
  CHECK_THROWS_AS(parse_sass("        /*0000*/ HMMA"), Error);
}

TEST_CASE("a block takes the cost that most of its instructions vote for") {
  const std::vector<StatementCost> lines = {{1, "add.f32", {0, 1, 0}}, {2, "add.f32", {0, 8, 4}}};
  const auto cost_of = [&](std::vector<SassInstruction> code) {
    return block_costs({{std::move(code)}}, lines)[0];
  };
  const SassInstruction once{"FADD", Class::real, 1}, often{"FADD", Class::real, 2};
  CHECK(cost_of({once, often, often}).full == 8);
  CHECK(cost_of({once, often, once}).full == 1);
  CHECK(cost_of({once, {"LDSM", Class::matrix, 2}, once}).partial == 4);
  CHECK(cost_of({{"FADD", Class::real, 0}, often}).full == 8);  // no line, no vote
  CHECK(cost_of({{"FADD", Class::real, 9}, {"FADD", Class::real, 9}, often}).full ==
        0);  // never executed
}

TEST_CASE(
    "copies of an unrolled loop share its cost, also the lines that do not count their copies") {
  const std::vector<StatementCost> statements = {
      {1, "mma.sync.aligned", {0, 32, 32}}, {2, "add.f32", {0, 32, 32}}, {3, "add.f32", {0, 8, 8}}};
  const SassInstruction product{"HMMA.16816.F32", Class::product, 1}, sum{"FADD", Class::real, 2},
      once{"FADD", Class::real, 3};
  const auto costs =
      block_costs({{{product, sum, sum}}, {{product, once}}, {{sum, sum}}, {{once}}}, statements);
  CHECK(costs[0].full == 16);
  CHECK(costs[1].full == 16);
  CHECK(costs[2].partial == 16);
  CHECK(costs[3].full == 8);
}

TEST_CASE("a line that only dead warps execute takes their cost") {
  // What a fit leaves of nothing is not quite nothing.
  const Fit::Cost of_dead{1e-13, -1e-13, -1e-13, 1};
  const std::vector<StatementCost> lines = {{1, "bar.sync", of_dead},
                                            {2, "bar.sync", {0, 4, 4, 0}}};
  const SassInstruction dead{"BAR.SYNC", Class::barrier, 1}, all{"BAR.SYNC", Class::barrier, 2};
  const auto costs = block_costs({{{dead}}, {{all}}}, lines);
  CHECK(costs[0].dead == 1);
  CHECK(costs[1].dead == 0);
  CHECK(costs[1].full == 4);
}

TEST_CASE("what is executed more often in PTX than in SASS is said") {
  const std::vector<SassBlock> blocks = {{{{"HMMA.16816.F32", Class::product, 1}}},
                                         {{{"SHFL.BFLY", Class::exchange, 2}}}};
  const std::vector<Fit::Cost> costs = {{0, 8, 8, -2}, {0, 2, 1, 0}};
  const std::vector<Piece> pieces = {{"FULL tile", {.full = 1}},
                                     {"PARTIAL tile", {.partial = 1}},
                                     {"dead warp", {.partial = 0.25, .dead = 1}}};
  const StatementCost shuffle{2, "shfl.sync.bfly.b32", {0, 2, 1, 0}};
  const auto said = [&](const Fit::Cost& product) {
    return imbalances(blocks, costs, {{1, "mma.sync.aligned", product}, shuffle}, pieces);
  };
  CHECK(said({0, 8, 8, -2}).empty());
  CHECK(said({0, 16, 8, -2}) ==
        std::vector<std::string>{"a FULL tile executes 16.00 mma in PTX and 8.00 HMMA in SASS"});
  CHECK(said({0, 8, 8, -1}) ==
        std::vector<std::string>{"a dead warp executes 1.00 mma in PTX and 0.00 HMMA in SASS"});
  CHECK(imbalances(blocks, costs, {{1, "mma.sync.aligned", {0, 8, 8, -2}}}, pieces).size() == 3);
}

TEST_CASE("bytes that are no cubin are refused, whatever they are") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  std::mt19937 random(seed);
  CHECK_THROWS_AS(embedded_ptx(""), Error);
  CHECK_THROWS_AS(embedded_ptx("\x7f"
                               "ELF\x02"),
                  Error);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(64 + random() % 512, '\0');
    for (char& byte : bytes) byte = random() % 3 == 0 ? static_cast<char>(random()) : '\0';
    bytes.replace(0, 5,
                  "\x7f"
                  "ELF\x02");
    for (const int at : {41, 42, 43, 44, 45, 46, 47}) bytes[at] = 0;  // a table inside
    std::size_t found = 0;
    try {
      found = embedded_ptx(bytes).size();
    } catch (const Error&) {
      ++refused;
    }
    CHECK(found <= bytes.size());
  }
  CHECK(refused > 0);
}

TEST_CASE("classes of instructions") {
  const std::pair<std::string_view, Class> sass[] = {{"HMMA.16816.F32", Class::product},
                                                     {"LDSM.16.MT88.4", Class::matrix},
                                                     {"LDGSTS.E.BYPASS.128", Class::async},
                                                     {"IMAD.MOV.U32", Class::move},
                                                     {"IMAD.WIDE", Class::integer},
                                                     {"MUFU.EX2", Class::exp},
                                                     {"HADD2.F32", Class::convert},
                                                     {"HADD2", Class::half},
                                                     {"ULDC.64", Class::uniform},
                                                     {"FMNMX", Class::max},
                                                     {"QUUX", Class::other},
                                                     {"F2FP.F16.F32.PACK_AB", Class::convert}};
  for (const auto& [opcode, kind] : sass) {
    INFO(opcode);
    CHECK(class_of_sass(opcode) == kind);
  }
  const std::pair<std::string_view, Class> ptx[] = {
      {"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", Class::product},
      {"max.f32", Class::max},
      {"max.s32", Class::integer},
      {"fma.rn.f32", Class::real},
      {"setp.gt.f32", Class::select},
      {"setp.gt.s32", Class::integer},
      {"fma.rn.f16x2", Class::half},
      {"cvt.rn.f16x2.f32", Class::convert},
      {"ld.param.u64", Class::move},
      {"st.shared.v4.f32", Class::shared},
      {"ex2.approx.ftz.f32", Class::exp},
      {"cp.async.wait_group", Class::async},
      {"@", Class::integer}};
  for (const auto& [opcode, kind] : ptx) {
    INFO(opcode);
    CHECK(class_of_ptx(opcode) == kind);
  }
}

}  // namespace lacuna::bench::test
