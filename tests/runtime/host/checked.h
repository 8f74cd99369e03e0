// Small kernels under the checks of the host device.
#pragma once
#include "lacuna/error.hpp"

#include "tests/runtime/host/bench.h"

#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime::host::test {

/// What a CTA of `threads` says under all checks, "" where it is silent. %r0 is the thread, %r1 the
/// start of 1024 bytes of shared memory, %d1 the start of `in`, u32[256], and %d2 of `out`,
/// u32[256].
struct Checked {
  int threads = 64;
  Checks checks = Checks::all();
  std::uint64_t seed = 0;
  std::vector<std::uint32_t> in = std::vector<std::uint32_t>(256, 7);
  std::vector<std::uint32_t> out = std::vector<std::uint32_t>(256, 0);

  std::string report(std::string_view body) {
    Setup setup{.threads = threads};
    setup.checks = checks;
    setup.seed = seed;
    std::string text =
        "mov.u32 %r0, %tid.x; mov.u32 %r1, tile; ld.param.u64 %d1, [p0]; ld.param.u64 %d2, [p1];\n";
    text.append(body).append("\nret;");
    return error_of([&] {
      run_body(text, {input("in", in, DType::i32), output("out", out, DType::i32)}, setup,
               ".shared .align 16 .b8 tile[1024];");
    });
  }
};

inline std::string checked(std::string_view body, int threads = 64) {
  return Checked{.threads = threads}.report(body);
}

}  // namespace lacuna::runtime::host::test
