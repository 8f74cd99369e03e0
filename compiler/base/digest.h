#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lacuna {

/// 128-bit streaming XXH3 over tagged, length-prefixed fields: no two sequences of fields give the
/// same bytes, so equal digests mean equal fields. Not cryptographic. The same on every machine.
class Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  Digest& add(std::string_view tag, std::string_view bytes);
  template <std::integral T>
  Digest& add(std::string_view tag, T value) {
    return add_integer(tag, static_cast<std::uint64_t>(value));
  }
  /// 32 lower-case digits over what was added so far; more may be added.
  std::string hex() const;

 private:
  Digest& add_integer(std::string_view tag, std::uint64_t value);
  void feed(char kind, std::string_view tag, std::string_view bytes);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lacuna
