#pragma once
#include "runtime/host/host_device.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::runtime::host::test {

/// Instruction sets that this machine has.
std::vector<Isa> present_isas();

/// One tensor of a launch; its bytes belong to the caller.
struct Buffer {
  std::string name;
  TensorView view;
  bool writable = false;
};
template <class T>
Buffer input(std::string name, std::vector<T>& values, DType dtype) {
  return {std::move(name),
          TensorView::contiguous(values.data(), dtype, {static_cast<std::int64_t>(values.size())})};
}
template <class T>
Buffer output(std::string name, std::vector<T>& values, DType dtype) {
  Buffer buffer = input(std::move(name), values, dtype);
  buffer.writable = true;
  return buffer;
}

/// What to run a kernel named "k" with. Its parameters are the addresses of the buffers, in order,
/// then `values`.
struct Setup {
  int threads = 32;
  std::uint64_t blocks = 1;
  int shared_bytes = 0;
  Isa isa = best_isa();
  int workers = 1;
  std::uint64_t instruction_limit = 0;
  std::vector<std::uint64_t> values = {};
  std::uint64_t seed = 0;
  Checks checks = {};
  bool every_order = false;
  MakeObserver observe = {};
};

/// ".version ... .entry k(params p0, p1, ...) { body }": `body` declares its own registers beyond a
/// generous set: %p<16> pred, %h<16> b16, %r<64> b32, %f<64> f32, %d<64> b64. `%d0`.. hold nothing;
/// parameter n is [pn].
std::string module_of(int params, std::string_view body, std::string_view before = "");

std::shared_ptr<const Kernel> load(const std::string& ptx, int params, const Setup& setup = {});
Statistics run(const Kernel& kernel, const std::vector<Buffer>& buffers, const Setup& setup = {});
/// module_of, load and run.
Statistics run_body(std::string_view body, const std::vector<Buffer>& buffers,
                    const Setup& setup = {}, std::string_view before = "");

/// The message of the Error that f throws, with its kind in front: "device: ...". Empty where it
/// throws none.
template <class F>
std::string error_of(F f) {
  static constexpr std::string_view kinds[] = {
      "pattern", "argument", "unsupported", "unavailable", "compilation", "device", "io"};
  try {
    f();
  } catch (const Error& error) {
    std::string message(kinds[static_cast<int>(error.kind())]);
    return message.append(": ").append(error.what());
  }
  return {};
}

}  // namespace lacuna::runtime::host::test
