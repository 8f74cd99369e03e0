#include "tools/lacuna/files.h"

#include "lacuna/error.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace lacuna::tool {
namespace fs = std::filesystem;
namespace {

std::string reason() {
  return std::strerror(errno ? errno : EIO);
}

fs::path temporary_beside(const fs::path& file) {
  return file.parent_path() / fmt::format(".{}.{}.tmp", file.filename().string(), getpid());
}

void write_temporary(const fs::path& temporary, const fs::path& file, std::string_view bytes) {
  errno = 0;
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (out) return;
  auto why = reason();
  std::error_code ignored;
  fs::remove(temporary, ignored);
  throw Error(ErrorKind::io, fmt::format("{} cannot be written: {}", file.string(), why));
}

void publish(const fs::path& temporary, const fs::path& file) {
  std::error_code failed;
  fs::rename(temporary, file, failed);
  if (!failed) return;
  std::error_code ignored;
  fs::remove(temporary, ignored);
  throw Error(ErrorKind::io,
              fmt::format("{} cannot be written: {}", file.string(), failed.message()));
}

}  // namespace

std::string read_file(const fs::path& file, std::string_view what) {
  auto complain = [&](std::string_view why) {
    return Error(ErrorKind::argument,
                 fmt::format("{} '{}' cannot be read: {}", what, file.string(), why));
  };
  std::error_code failed;
  if (fs::is_directory(file, failed)) throw complain("it is a directory");
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) throw complain(reason());
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) throw complain(reason());
  return bytes;
}

Outputs::Outputs(fs::path directory) : directory_(std::move(directory)) {
  std::error_code ignored;
  if (fs::exists(directory_, ignored) && !fs::is_directory(directory_, ignored)) {
    throw Error(ErrorKind::argument,
                fmt::format("'{}' is a file, and a directory is needed", directory_.string()));
  }
}

void Outputs::add(std::string name, std::string bytes) {
  files_.emplace_back(std::move(name), std::move(bytes));
}

void Outputs::commit() {
  std::error_code failed;
  fs::create_directories(directory_, failed);
  if (failed) {
    throw Error(ErrorKind::io,
                fmt::format("{} cannot be created: {}", directory_.string(), failed.message()));
  }
  std::size_t written = 0;
  try {
    for (; written < files_.size(); ++written) {
      auto file = directory_ / files_[written].first;
      write_temporary(temporary_beside(file), file, files_[written].second);
    }
  } catch (...) {
    for (std::size_t i = 0; i < written; ++i) {
      fs::remove(temporary_beside(directory_ / files_[i].first), failed);
    }
    throw;
  }
  for (auto& [name, bytes] : files_) {
    publish(temporary_beside(directory_ / name), directory_ / name);
  }
}

void write_file(const fs::path& file, std::string_view bytes) {
  auto temporary = temporary_beside(file);
  write_temporary(temporary, file, bytes);
  publish(temporary, file);
}

}  // namespace lacuna::tool
