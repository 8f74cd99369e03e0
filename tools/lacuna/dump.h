#pragma once
#include "tools/lacuna/execute.h"
#include "tools/lacuna/options.h"

#include <filesystem>
#include <string>
#include <vector>

namespace lacuna::tool {

/// What a dump must remember beside the call itself.
struct DumpOrigin {
  std::vector<std::string> consts;  ///< --const, as written
  EngineFlags engine;
};

/// A directory with every stage of a run, complete enough to run it again:
///   pattern.lac plan.txt source.cu templates/ options.txt kernel.ptx|kernel.cubin kernel.ll
///   log.txt call.json inputs/*.npy outputs/*.npy
class Dump {
 public:
  /// Throws Error{argument} where `directory` holds something that is no dump.
  explicit Dump(std::filesystem::path directory);
  /// Everything up to the launch. What exists by then stays there when compiling or launching
  /// fails.
  void before(const DeviceCall& call, const Inputs& inputs, const DumpOrigin& origin);
  void after(const Results& results);

 private:
  void write(const std::filesystem::path& name, std::string_view bytes) const;

  std::filesystem::path directory_;
};

/// What call.json records of each file that a replay does not read, or not alone.
std::string digest_of(std::string_view bytes);

/// A dump read back.
struct Recorded {
  std::string text, origin, attention;  ///< of the pattern
  std::vector<std::string> params;      ///< as --param takes them
  DumpOrigin from;
  Inputs inputs;
  DType output = DType::f32;
  bool statistic = false, escort = false;
  Results results;     ///< absent arrays where the run did not finish
  std::string source;  ///< source.cu as it is now
};
/// Throws Error{argument} naming the file that is missing or wrong, or edited where only source.cu
/// may be.
Recorded read_dump(const std::filesystem::path& directory);

}  // namespace lacuna::tool
