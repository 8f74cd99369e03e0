#include "runtime/nvrtc/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace lacuna::runtime::nvrtc {
namespace {

/// The number that stands before `words`, "18" in "Used 18 registers".
int number_before(std::string_view log, std::string_view words) {
  const std::size_t end = log.find(words);
  if (end == log.npos) return -1;
  std::size_t begin = end;
  while (begin > 0 && log[begin - 1] >= '0' && log[begin - 1] <= '9') --begin;
  int number = -1;
  std::from_chars(log.data() + begin, log.data() + end, number);
  return number;
}

/// Of all functions that the log tells of: those that were not inlined have lines of their own.
int sum_before(std::string_view log, std::string_view words) {
  int sum = -1;
  for (std::size_t at = log.find(words); at != log.npos; at = log.find(words)) {
    sum = std::max(sum, 0) + std::max(number_before(log, words), 0);
    log.remove_prefix(at + words.size());
  }
  return sum;
}

}  // namespace

Resources parse_resources(std::string_view log) {
  return {.registers = number_before(log, " registers"),
          .spill_stores = sum_before(log, " bytes spill stores"),
          .spill_loads = sum_before(log, " bytes spill loads")};
}

std::string without_times(std::string_view log) {
  std::string kept;
  while (!log.empty()) {
    const std::size_t end = std::min(log.find('\n'), log.size());
    const std::string_view line = log.substr(0, end);
    if (!line.empty() && line.find("Compile time = ") == line.npos) {
      kept.append(line).push_back('\n');
    }
    log.remove_prefix(std::min(end + 1, log.size()));
  }
  return kept;
}

std::string without_directory(std::string_view ptx, std::string_view directory) {
  const std::string prefix = fmt::format("\"{}{}", directory, directory.ends_with('/') ? "" : "/");
  std::string out;
  out.reserve(ptx.size());
  while (!ptx.empty()) {
    const std::size_t end = std::min(ptx.find('\n'), ptx.size() - 1) + 1;
    const std::string_view line = ptx.substr(0, end);
    const std::size_t at = line.find(prefix);
    if (at != line.npos && line.find(".file") < at) {
      out.append(line.substr(0, at + 1)).append(line.substr(at + prefix.size()));
    } else {
      out.append(line);
    }
    ptx.remove_prefix(end);
  }
  return out;
}

}  // namespace lacuna::runtime::nvrtc
