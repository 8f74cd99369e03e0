#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::tool {

/// The whole file. Throws Error{argument}, since the name came from the command line: `what` is
/// the flag or role to name ("--q").
std::string read_file(const std::filesystem::path& file, std::string_view what);

/// Files that appear together, complete, or not at all: written beside their names, then renamed.
class Outputs {
 public:
  /// `directory` may not exist yet; throws Error{argument} where the name is taken by something
  /// else.
  explicit Outputs(std::filesystem::path directory);
  void add(std::string name, std::string bytes);
  /// Creates the directory and publishes every file. Throws Error{io}; then none of them is there.
  void commit();

 private:
  std::filesystem::path directory_;
  std::vector<std::pair<std::string, std::string>> files_;
};

/// One file, complete or not at all. Throws Error{io}.
void write_file(const std::filesystem::path& file, std::string_view bytes);

}  // namespace lacuna::tool
