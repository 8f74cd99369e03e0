#include "compiler/base/diagnostic.h"
#include "runtime/engine.h"
#include "tools/lacuna/arguments.h"
#include "tools/lacuna/command.h"
#include "tools/lacuna/files.h"
#include "tools/lacuna/memory.h"
#include "tools/lacuna/npy.h"
#include "tools/lacuna/options.h"
#include "tools/lacuna/progress.h"

#include <fmt/format.h>

namespace lacuna::tool {
namespace {

struct EntmaxFlags {
  EngineFlags engine;
  std::string x, alpha = "1.5", dtype, out;
};

/// Memory of the device that holds an array.
class Placed {
 public:
  Placed(const runtime::Device& device, const Array& array)
      : device_(device), memory_(device.allocate(std::max<std::size_t>(array.bytes.size(), 1))) {
    if (!array.bytes.empty()) device_.upload(memory_, array.bytes.data(), array.bytes.size());
  }
  ~Placed() { device_.release(memory_); }
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;

  TensorView view(const Array& array) const {
    TensorView there = array.view();
    there.data = memory_;
    return there;
  }
  void collect(Array& array) const {
    device_.synchronize({});
    if (!array.bytes.empty()) device_.download(array.bytes.data(), memory_, array.bytes.size());
  }

 private:
  const runtime::Device& device_;
  void* memory_;
};

bool is_real(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

Report run_entmax(const EntmaxFlags& flags, const Terminal& terminal) {
  const float alpha = parse_float("--alpha", flags.alpha);
  Progress progress(terminal);
  progress.say("reading x");
  Array x = read_npy(flags.x, "--x");
  if (!is_real(x.dtype))
    throw Error(ErrorKind::argument, fmt::format("--x {}: dtype is {}, expected float32 or float16",
                                                 flags.x, name_of(x.dtype)));
  if (!flags.dtype.empty()) x = cast(x, parse_dtype(flags.dtype));
  // p leaves the kernel in f32: it is rounded once, by whoever reads it.
  check_fits({{"x", x.dtype, x.shape}, {"p", DType::f32, x.shape}}, memory_limit());
  Array p = Array::zeros(DType::f32, x.shape);
  const Engine engine(flags.engine.options());
  {
    const Placed on_x(*engine.state().device, x), on_p(*engine.state().device, p);
    progress.say("running");
    engine.entmax(on_x.view(x), on_p.view(p), alpha);
    on_p.collect(p);
  }
  std::int64_t live = 0;
  for (std::int64_t i = 0; i < p.elements(); ++i) live += p.real(i) != 0;
  write_file(flags.out, format_npy(p));
  progress.clear();
  const std::int64_t n = x.shape.empty() ? 0 : x.shape.back();
  const std::int64_t rows = n ? p.elements() / n : 0;
  Report report;
  report.json = {{"alpha", alpha},
                 {"rows", rows},
                 {"n", n},
                 {"not_zero", live},
                 {"out", flags.out},
                 {"dtype", name_of(x.dtype)},
                 {"device", engine.description()}};
  report.text = fmt::format(
      "entmax({}) of {} row{} of {}, {}: {} weights are not 0\n  device   {}\n  p        {}\n",
      alpha, rows, rows == 1 ? "" : "s", n, name_of(x.dtype), live, engine.description(),
      flags.out);
  return report;
}

}  // namespace

void add_entmax(CLI::App& app, Invocation& invocation) {
  auto flags = std::make_shared<EntmaxFlags>();
  CLI::App* command =
      add_command(app, invocation,
                  {"entmax", "the weights of entmax, or softmax, along the last axis of an array",
                   "  lacuna entmax --x x.npy --out p.npy\n"
                   "  lacuna entmax --x x.npy --alpha 2 --out p.npy      sparsemax",
                   "  p.npy has the weights as float32; those of a row sum to 1."},
                  flags, run_entmax);
  add_value(*command, "--x", flags->x, "F.npy",
            "scores, float32 or float16, of one axis or more; rows lie along the last")
      ->required();
  add_value(*command, "--alpha", flags->alpha, "X",
            "1 (softmax) or from 1.01 to 2 (sparsemax) (default: 1.5)");
  add_value(*command, "--dtype", flags->dtype, "f16|bf16|f32",
            "storage of x (default: as in the file)");
  add_value(*command, "--out", flags->out, "F.npy", "where the weights go")->required();
  flags->engine.add_to(*command);
  command->remove_option(command->get_option("--schedule"));  // of tiles, which rows have not
}

}  // namespace lacuna::tool
