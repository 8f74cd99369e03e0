#include "compiler/base/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace lacuna {
namespace {

constexpr std::size_t longest_excerpt = 160;

std::string_view line_of(std::string_view text, int line) {
  for (; line > 1; --line) {
    auto end = text.find('\n');
    if (end == text.npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find_first_of("\r\n"));
}

/// The line, shortened around the column, and a caret under it; bytes that no terminal should see
/// become '?'.
std::string excerpt(std::string_view line, std::size_t column) {
  std::size_t begin = column > longest_excerpt / 2 ? column - longest_excerpt / 2 : 0;
  if (line.size() <= longest_excerpt) begin = 0;
  std::string shown(line.substr(std::min(begin, line.size()), longest_excerpt));
  std::string pad;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (shown[i] != '\t' && (shown[i] < 32 || shown[i] > 126)) shown[i] = '?';
  }
  for (std::size_t i = 0; begin + i + 1 < column; ++i) {
    pad += i < shown.size() && shown[i] == '\t' ? '\t' : ' ';
  }
  return fmt::format("\n  {}\n  {}^", shown, pad);
}

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      bool exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (exchanged) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

Error diagnose(std::string_view text, const Span& where, std::string_view message) {
  if (where.line == 0) {
    return Error(ErrorKind::pattern, fmt::format("{}: {}", where.file, message), where);
  }
  auto head = fmt::format("{}:{}:{}: {}", where.file, where.line, where.column, message);
  auto tail = excerpt(line_of(text, where.line), static_cast<std::size_t>(where.column));
  return Error(ErrorKind::pattern, head + tail, where);
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
  constexpr std::size_t longest_name =
      64;  // the distance is quadratic, and nobody mistypes a paragraph
  if (name.size() > longest_name) return {};
  std::string_view best;
  std::size_t least = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (std::string_view candidate : candidates) {
    if (candidate.size() > longest_name || candidate == name) continue;
    std::size_t d = distance(name, candidate);
    if (d < least && d < std::max(name.size(), candidate.size())) {
      least = d;
      best = candidate;
    }
  }
  return best;
}

std::string suggestion(std::string_view name, std::span<const std::string_view> candidates) {
  auto near = nearest(name, candidates);
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", near);
}

}  // namespace lacuna
