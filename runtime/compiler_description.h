#pragma once
#include <string>
#include <vector>

namespace lacuna::runtime {

/// What `lacuna doctor` says of a compiler. Finding none is not an error here.
struct CompilerDescription {
  std::string path;                ///< empty: not found
  std::string identity;            ///< Compiler::identity()
  std::string builtins;            ///< nvrtc: its second library; empty: left to the system loader
  std::vector<std::string> archs;  ///< what it compiles for
  std::string trace;               ///< every place searched and what came of it, one a line
  std::string problem;             ///< empty: usable
};

CompilerDescription describe_nvrtc(const std::string& library = {}, int driver_version = 0);
CompilerDescription describe_llvm(const std::string& library = {});

}  // namespace lacuna::runtime
