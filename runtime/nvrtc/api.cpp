#include "runtime/nvrtc/api.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

namespace lacuna::runtime::nvrtc {
namespace {

template <class Function>
void resolve(const SharedLibrary& library, const char* symbol, Function*& function) {
  function = library.function<Function>(symbol);
}

}  // namespace

Api::Api(SharedLibrary opened) : library(std::move(opened)) {
  resolve(library, "nvrtcGetErrorString", error_string);
  resolve(library, "nvrtcVersion", version);
  resolve(library, "nvrtcGetNumSupportedArchs", arch_count);
  resolve(library, "nvrtcGetSupportedArchs", archs);
  resolve(library, "nvrtcCreateProgram", create);
  resolve(library, "nvrtcDestroyProgram", destroy);
  resolve(library, "nvrtcCompileProgram", compile);
  resolve(library, "nvrtcGetProgramLogSize", log_size);
  resolve(library, "nvrtcGetProgramLog", log);
  resolve(library, "nvrtcGetPTXSize", ptx_size);
  resolve(library, "nvrtcGetPTX", ptx);
  resolve(library, "nvrtcGetCUBINSize", cubin_size);
  resolve(library, "nvrtcGetCUBIN", cubin);
}

void Api::require(Result result, const char* call) const {
  if (result == Result::success) return;
  throw Error(ErrorKind::unavailable, fmt::format("{} of {} failed: {}", call,
                                                  library.path().string(), error_string(result)));
}

Version Api::read_version() const {
  Version v;
  require(version(&v.major, &v.minor), "nvrtcVersion");
  return v;
}

std::vector<int> Api::read_archs() const {
  int count = 0;
  require(arch_count(&count), "nvrtcGetNumSupportedArchs");
  std::vector<int> list(static_cast<std::size_t>(std::max(count, 0)));
  require(archs(list.data()), "nvrtcGetSupportedArchs");
  return list;
}

}  // namespace lacuna::runtime::nvrtc
