#pragma once
#include "runtime/shared_library.h"

#include <cstddef>
#include <string>
#include <vector>

namespace lacuna::runtime::nvrtc {

/// The result codes that are told apart here; nvrtcGetErrorString names the others.
enum class Result : int { success = 0, invalid_option = 5, compilation = 6, builtin_failure = 7 };

struct Program;  // opaque to us

struct Version {
  int major = 0, minor = 0;
  auto operator<=>(const Version&) const = default;
};

/// The functions of libnvrtc, declared here because building Lacuna needs no file of CUDA.
struct Api {
  explicit Api(SharedLibrary opened);

  SharedLibrary library;
  const char* (*error_string)(Result);
  Result (*version)(int* major, int* minor);
  Result (*arch_count)(int* count);
  Result (*archs)(int* archs);
  Result (*create)(Program** program, const char* text, const char* name, int headers,
                   const char* const* header_texts, const char* const* header_names);
  Result (*destroy)(Program** program);
  Result (*compile)(Program* program, int count, const char* const* options);
  Result (*log_size)(Program* program, std::size_t* size);
  Result (*log)(Program* program, char* text);
  Result (*ptx_size)(Program* program, std::size_t* size);
  Result (*ptx)(Program* program, char* text);
  Result (*cubin_size)(Program* program, std::size_t* size);
  Result (*cubin)(Program* program, char* bytes);

  /// Throws Error{unavailable} with the library's path where a call that cannot fail does.
  void require(Result result, const char* call) const;
  Version read_version() const;
  std::vector<int> read_archs() const;
};

}  // namespace lacuna::runtime::nvrtc
