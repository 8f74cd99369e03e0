// What must come out of whole kernels, and the committed table.
#include "tests/catch.h"

#include "bench/laboratory/print.h"
#include "bench/laboratory/subjects.h"

#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>

namespace lacuna::bench::test {
namespace {

/// Catch's own SKIP is not in version 2: say so, and pass.
#define LEAVE_WITHOUT(part, error)                                   \
  WARN("skipped: " << (part) << " is not here: " << (error).what()); \
  return

std::string committed_table() {
  std::ifstream file("bench/results/laboratory.md");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

const Subject& find(const std::vector<Subject>& all, int sm, int head_dim, DType dtype) {
  for (const Subject& one : all)
    if (one.arch.sm == sm && one.spec.head_dim == head_dim && one.spec.dtype == dtype) return one;
  throw std::runtime_error("the table has no such row");
}

}  // namespace

// NVRTC's and nvdisasm's versions decide what rows say: only equal ones are compared.
TEST_CASE("rows of the committed table are what the kernels are") {
  std::shared_ptr<const runtime::Compiler> nvrtc;
  std::optional<Disassembler> disassembler;
  try {
    nvrtc = runtime::open_nvrtc();
  } catch (const Error& error) {
    LEAVE_WITHOUT("NVRTC", error);
  }
  try {
    disassembler.emplace();
  } catch (const Error& error) {
    LEAVE_WITHOUT("nvdisasm", error);
  }
  const std::string table = committed_table();
  const std::vector<Subject> all = table_subjects();
  for (const Subject& subject : {find(all, 80, 64, DType::f16), find(all, 90, 128, DType::f16),
                                 find(all, 80, 64, DType::f32)}) {
    const Study one = study(subject, *nvrtc, &*disassembler);
    INFO(to_text(one));
    CHECK(one.doubts.empty());
    REQUIRE((one.full && one.full->sass && one.settled && one.settled->sass && one.partial &&
             one.partial->sass));
    // m16n8k16 is 64 multiply-adds of a lane.
    if (one.machine == "sm80")
      CHECK(std::abs((*one.full->sass)[Class::product] -
                     (one.spec.head_dim + one.spec.value_dim) / 64.0) < 1e-3);
    CHECK((*one.full->sass)[Class::exp] >= 1);
    CHECK(one.full->sass->softmax() >= 4.5);
    // Only PARTIAL tiles compare positions; only where maxima rise is O rescaled.
    CHECK((*one.partial->sass)[Class::integer] > (*one.full->sass)[Class::integer]);
    CHECK((*one.settled->sass)[Class::real] < (*one.full->sass)[Class::real]);
    // A warp that sees nothing neither multiplies nor weighs.
    CHECK(one.dead.has_value() == (one.schedule.warps > 1));
    if (one.dead) {
      for (const Class kind : {Class::product, Class::matrix, Class::exp, Class::real})
        CHECK(std::abs((*one.dead->sass)[kind]) < 1e-3);
      CHECK(one.dead->sass->total() < one.partial->sass->total() / 4);
    }
    CHECK(one.full->wavefronts >= one.full->least_wavefronts);
    CHECK(one.spilled_bytes == 0);
    if (table.find(tools_line(nvrtc->identity(), disassembler->version())) == table.npos) {
      WARN("not compared: the table was made with other versions than "
           << nvrtc->identity() << " and nvdisasm " << disassembler->version());
      continue;
    }
    INFO("scripts/laboratory.sh writes the table anew");
    for (const std::string& row : table_rows(one)) CHECK(table.find(row) != table.npos);
  }
}

}  // namespace lacuna::bench::test
