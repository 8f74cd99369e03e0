#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include "lacuna/version.hpp"

namespace lacuna {
inline namespace LACUNA_ABI {

/// Whose fault it is, so that a caller can decide without reading the text.
enum class ErrorKind : std::uint8_t {
  pattern,      ///< the .lac text or the builder's tree is wrong; span() is the place
  argument,     ///< a tensor, shape, dtype, param or option of a call is wrong
  unsupported,  ///< correct, but cannot be done here; the message names the limit in numbers
  unavailable,  ///< a library, device or file is missing; the message says where it was looked for
  compilation,  ///< generated code did not compile: our bug; log() has log and numbered source
  device,       ///< a launch failed, or the host device found a fault; the message names the place
  io,           ///< a file could not be read or written
};

/// A place in a text: 1-based line and column, 0 where unknown.
struct Span {
  std::string file;
  int line = 0;
  int column = 0;
  bool operator==(const Span&) const = default;
};

/// What every function of this library throws. what() is one sentence that names the culprit; for
/// ErrorKind::pattern it goes on with the source line and a caret.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, Span span = {}, std::string log = {})
      : std::runtime_error(message), kind_(kind), span_(std::move(span)), log_(std::move(log)) {}
  ErrorKind kind() const noexcept { return kind_; }
  const Span& span() const noexcept { return span_; }
  const std::string& log() const noexcept { return log_; }

 private:
  ErrorKind kind_;
  Span span_;
  std::string log_;
};

}  // namespace LACUNA_ABI
}  // namespace lacuna
