#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lacuna::test {

struct Ran {
  int code = -1;  ///< 128 + signal where it died of one
  std::string out, err;
};

/// Runs a program as a shell would, with `variables` over this process's environment and without
/// input.
Ran run_program(const std::vector<std::string>& words,
                const std::map<std::string, std::string>& variables = {});
/// build/lacuna with these words.
Ran lacuna(std::vector<std::string> words,
           const std::map<std::string, std::string>& variables = {});
/// LACUNA_DEVICE of this process, else the host device: what tests run kernels on.
std::string device();
/// A Python that has numpy, running `script`; throws where there is none or where it fails.
std::string python(const std::string& script);

/// A directory of its own that is gone with this.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  /// The path of a file in it, as text.
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const;
  /// The names of all files in it and below, sorted.
  std::vector<std::string> files() const;

 private:
  std::filesystem::path path_;
};

std::string read(const std::string& file);

}  // namespace lacuna::test
