// What the PTX reader accepts, and what it says of text that it does not.
#include "runtime/host/ptx/parser.h"

#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/nvrtc.h"

#include <fmt/format.h>

namespace lacuna::runtime::host::test {
namespace {

std::string complaint(std::string text) {
  return error_of([&] { ptx::parse(std::move(text)); });
}
std::string complaint_of_body(std::string_view body) {
  return complaint(module_of(1, body));
}

constexpr std::string_view head = ".version 8.3\n.target sm_80, debug\n.address_size 64\n";

}  // namespace

TEST_CASE("the whole of a module is read") {
  const ptx::Module module = ptx::parse(fmt::format("{}{}", head, R"(
    // a comment .entry
    /* another
       one */
    .file 1 "a.cu", 1234, 5678
    .extern .shared .align 16 .b8 dynamic[];
    .visible .const .align 4 .b8 table[3][4] = {{1, 2}, {3}, 0x04};
    .weak .global .align 8 .u64 count = 012;
    .section .debug_info { .b32 1 }
    .extern .func (.param .b32 r) helper (.param .b64 x) .noreturn;
    .func (.param .align 8 .b8 r[16]) helper2 (.param .u64 .ptr .global .align 16 x) { ret; }
    .visible .entry kernel(.param .u64 p, .param .align 16 .b8 q[40]) .maxntid 128, 2 .minnctapersm 3 .maxnreg 64
    {
      .reg .pred %p<3>; .reg .b32 %r<5>, %single; .reg .f64 %fd<2>;
      .shared .align 4 .f32 tile[8][8]; .local .b8 depot[16];
      .pragma "nounroll";
      { .reg .b32 %r<2>; mov.u32 %r1, %tid.x; $same: bra $same; }
      { $same: @!%p1 bra.uni $same; bra $end; }
      setp.lt.and.f32 %p1|_, 0f3F800000, -0d3FF0000000000000, !%p2;
      ld.global.v4.f32 {%r1, %r2, _, %single}, [%fd1+-16];
      $end: ret;
    })"));
  CHECK(module.version == "8.3");
  CHECK(module.target == "sm_80");
  CHECK(module.files.at(1) == "a.cu");
  REQUIRE(module.variables.size() == 3);
  CHECK(module.variables[0].external);
  CHECK(module.variables[0].align == 16);
  CHECK(module.variables[1].bytes == 12);
  CHECK_FALSE(module.variables[1].writable);
  CHECK(
      module.variables[1].initial ==
      std::vector<std::byte>{
          std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}, {}, {}, {}, {}, {}, {}, {}, {}});
  CHECK(module.variables[2].initial[0] == std::byte{10});  // octal
  REQUIRE(module.functions.size() == 3);
  CHECK_FALSE(module.functions[0].defined);
  CHECK(module.functions[1].variables[module.functions[1].returns[0]].bytes == 16);
  const ptx::Function& kernel = module.functions[2];
  CHECK(kernel.entry);
  CHECK(kernel.max_threads == std::array<std::uint32_t, 3>{128, 2, 1});
  CHECK(kernel.registers.size() == 3 + 5 + 1 + 2 + 2);
  REQUIRE(kernel.body.size() == 7);
  CHECK(kernel.body[0].operands[0].index == 11 + 1);  // the inner %r1
  CHECK(kernel.labels[kernel.body[1].operands[0].index].target == 1);
  CHECK(kernel.labels[kernel.body[2].operands[0].index].target == 2);  // the other $same
  CHECK(kernel.body[2].guard.negated);
  CHECK(kernel.labels[kernel.body[3].operands[0].index].target == 6);
  CHECK(kernel.body[4].opcode == "setp.lt.and.f32");
  CHECK(kernel.body[4].operands[0].kind == ptx::Operand::Kind::pair);
  CHECK(kernel.body[4].operands[2].value == 0xbff0000000000000);
  CHECK(kernel.body[4].operands[3].negated);
  CHECK(kernel.body[5].text == "ld.global.v4.f32 {%r1, %r2, _, %single}, [%fd1+-16]");
  CHECK(kernel.body[5].operands[1].value == static_cast<std::uint64_t>(-16));
}

TEST_CASE("what compilers write is read") {
  for (const char* name : {"attention.ptx", "mixture.ptx"})
    CHECK(complaint(kernel_file(name)) == "");
  for (const char* name : {"attention.cu", "mixture.cu"})
    if (const auto text = nvrtc_ptx(name)) CHECK(complaint(*text) == "");
}

TEST_CASE("malformed text is answered with its line") {
  CHECK(complaint("") == "device: ptx line 1: the text does not begin with .version");
  CHECK(complaint("kernel") == "device: ptx line 1: expected a directive but found 'kernel'");
  CHECK(complaint(fmt::format("{}.visible .entry k(.param .u64 p) {{ ret;", head)) ==
        "device: ptx line 4: expected an instruction but found 'the end of the text'");
  CHECK(complaint(fmt::format("{}.file 1 \"abc\n", head)) ==
        "device: ptx line 4: the string has no end");
  CHECK(complaint(fmt::format("{}/* abc\n", head)) == "device: ptx line 4: the comment has no end");
  CHECK(complaint(fmt::format("{}.section .debug_str {{ {{ }}", head)) ==
        "device: ptx line 4: a '{' is never closed");
  CHECK(complaint(fmt::format("{}.global .align 3 .b8 x[4];", head)) ==
        "device: ptx line 4: the alignment 3 is no power of two");
  CHECK(complaint(fmt::format("{}.global .b8 x[];", head)) ==
        "device: ptx line 4: the array 'x' has no extent");
  CHECK(complaint(fmt::format("{}.global .b8 x[2] = {{1, 2, 3}};", head)) ==
        "device: ptx line 4: 'x' has more initial values than its 2 bytes");
  CHECK(complaint(fmt::format("{}.global .b8 x[3000000000];", head)) ==
        "device: ptx line 4: an array extent is 3000000000; the limit is 2147483648");
  CHECK(complaint(fmt::format("{}.global .b8 x[2000000][2000000];", head)) ==
        "device: ptx line 4: 'x' is larger than 2147483648 bytes");
  CHECK(complaint(fmt::format("{}.global .u32 x;\n.global .u32 x;", head)) ==
        "device: ptx line 5: 'x' is already defined on line 4");
  CHECK(complaint_of_body("bra $nowhere;") == "device: ptx line 14: '$nowhere' is not defined");
  CHECK(complaint_of_body("add.s32 %r1, %r99, %r2;") ==
        "device: ptx line 14: the register '%r99' is not declared");
  CHECK(complaint_of_body("@%r1 bra $x; $x:") == "device: ptx line 14: '%r1' is not a predicate");
  CHECK(complaint_of_body("$x: $x:") == "device: ptx line 14: the label '$x' is defined twice");
  CHECK(complaint_of_body(".reg .b32 %r<5>;") ==
        "device: ptx line 14: the registers '%r' are declared twice");
  CHECK(complaint_of_body("add.s32 %r1 %r2;") ==
        "device: ptx line 14: expected ';' but found '%r2'");
  CHECK(complaint_of_body("mov.u32 %r1, 0x;") == "device: ptx line 14: '0x' is not a number");
  CHECK(complaint_of_body("mov.f32 %f1, 0f12;") == "device: ptx line 14: '0f12' is not a number");
  CHECK(complaint_of_body("mov.u32 %r1, 99999999999999999999;") ==
        "device: ptx line 14: '99999999999999999999' is not a number");
  CHECK(complaint_of_body(".reg .b32 %x<2000000>;") ==
        "device: ptx line 14: a number of registers is 2000000; the limit is 1048576");
  CHECK(complaint_of_body(std::string(300, '{')) ==
        "device: ptx line 14: scopes nest deeper than 200");
  CHECK(complaint_of_body("\x01") == "device: ptx line 14: the character 0x01 has no place in PTX");
}

TEST_CASE("what is not known is named, with the source line where it is known") {
  CHECK(complaint(fmt::format("{}.tex .u64 t;", head)) ==
        "unsupported: the host device does not know the directive '.tex' (ptx line 4)");
  CHECK(complaint(".version 8.3\n.target sm_80, texmode_independent\n") ==
        "unsupported: the host device does not know the target option 'texmode_independent' (ptx "
        "line 3)");
  CHECK(complaint(".version 8.3\n.target sm_80\n.address_size 32\n") ==
        "unsupported: the host device does not know an address size but 64 (ptx line 4)");
  CHECK(complaint(fmt::format("{}.extern .global .u32 x;", head)) ==
        "unsupported: the host device does not know the variable 'x', defined in another module "
        "(ptx line 4)");
  CHECK(complaint(fmt::format("{}.global .u64 x = y;", head)) ==
        "unsupported: the host device does not know the initial value 'y' of 'x' (ptx line 4)");
  CHECK(
      complaint(fmt::format("{}.entry k() .reqnctapercluster 2 {{ ret; }}", head)) ==
      "unsupported: the host device does not know the directive '.reqnctapercluster' (ptx line 4)");
  CHECK(complaint_of_body(".reg .b128 %q;") ==
        "unsupported: the host device does not know the register type '.b128' (ptx line 14)");
  CHECK(complaint_of_body(".pragma \"enable_smem_spilling\";") ==
        "unsupported: the host device does not know the pragma \"enable_smem_spilling\" (ptx line "
        "14)");
  CHECK(complaint_of_body(
            "\n.loc 1 7 3\n$x: .calltargets f;\n}\n.file 1 \"mask.lac\"\n.section .x {") ==
        "unsupported: the host device does not know the directive '.calltargets' (ptx line 16, "
        "mask.lac:7)");
  CHECK(complaint_of_body("tex.2d.v4.f32.s32 {%f1,%f2,%f3,%f4}, [%d1, {%r1, %r2}];") ==
        "unsupported: the host device does not know the address operand ',' (ptx line 14)");
}

}  // namespace lacuna::runtime::host::test
