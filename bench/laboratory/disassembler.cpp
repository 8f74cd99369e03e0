#include "lacuna/error.hpp"

#include "bench/laboratory/sass.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace lacuna::bench {
namespace {

namespace fs = std::filesystem;

/// The places, the explicit ones first.
std::vector<fs::path> places() {
  std::vector<fs::path> all;
  if (const char* given = std::getenv("LACUNA_NVDISASM")) return {given};
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(fs::path(LACUNA_SOURCE_DIR) / ".venv/lib", none))
    all.push_back(entry.path() / "site-packages/nvidia/cu13/bin/nvdisasm");
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* home = std::getenv(name)) all.push_back(fs::path(home) / "bin/nvdisasm");
  all.emplace_back("/usr/local/cuda/bin/nvdisasm");
  std::string_view path = std::getenv("PATH") ? std::getenv("PATH") : "";
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    if (end > 0) all.push_back(fs::path(path.substr(0, end)) / "nvdisasm");
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return all;
}

struct Output {
  std::string text;
  int status = 0;
};
/// What a command prints, both streams, and how it ends.
Output run(const std::string& command) {
  Output output;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr)
    throw Error(ErrorKind::unavailable, fmt::format("cannot start '{}'", command));
  char piece[1 << 16];
  while (const std::size_t count = std::fread(piece, 1, sizeof piece, pipe))
    output.text.append(piece, count);
  output.status = pclose(pipe);
  return output;
}

/// A file that is gone when this is.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view bytes)
      : path_((fs::temp_directory_path() / "lacuna_XXXXXX").string()) {
    const int file = mkstemp(path_.data());
    const bool whole =
        file >= 0 && write(file, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    if (file >= 0) close(file);
    if (!whole) throw Error(ErrorKind::io, fmt::format("cannot write '{}'", path_));
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string shell_word(const std::string& path) {
  std::string text = "'";
  for (const char c : path) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// "13.5.37" of "Cuda compilation tools, release 13.5, V13.5.37".
std::string version_in(std::string_view text) {
  const std::size_t at = text.find(", V");
  if (at == text.npos) return "unknown";
  return std::string(text.substr(at + 3, text.find_first_not_of("0123456789.", at + 3) - at - 3));
}

}  // namespace

Disassembler::Disassembler() {
  std::vector<std::string> searched;
  for (const fs::path& place : places()) {
    if (access(place.c_str(), X_OK) == 0 && !fs::is_directory(place)) {
      path_ = place.string();
      version_ = version_in(run(shell_word(path_) + " --version").text);
      return;
    }
    if (std::find(searched.begin(), searched.end(), place.string()) == searched.end())
      searched.push_back(place.string());
  }
  throw Error(ErrorKind::unavailable,
              fmt::format("nvdisasm is not here; scripts/install.sh fetches it. Searched:\n  {}",
                          fmt::join(searched, "\n  ")));
}

std::string Disassembler::disassemble(std::string_view cubin) const {
  const TemporaryFile file(cubin);
  Output output = run(fmt::format("{} -c -gp {}", shell_word(path_), shell_word(file.path())));
  if (output.status != 0)
    throw Error(ErrorKind::device, fmt::format("{} ends with status {}: {}", path_,
                                               WEXITSTATUS(output.status), output.text));
  return std::move(output.text);
}

}  // namespace lacuna::bench
