#include "compiler/base/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <new>

namespace lacuna {
namespace {

/// Little-endian, so that a digest does not depend on the machine.
std::array<char, 8> bytes_of(std::uint64_t value) {
  std::array<char, 8> bytes;
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  return bytes;
}

}  // namespace

struct Digest::State {
  XXH3_state_t xxh;  // over-aligned: plain new honours it since C++17
};

Digest::Digest() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(&state_->xxh);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

Digest& Digest::add(std::string_view tag, std::string_view bytes) {
  feed('s', tag, bytes);
  return *this;
}

Digest& Digest::add_integer(std::string_view tag, std::uint64_t value) {
  auto bytes = bytes_of(value);
  feed('i', tag, {bytes.data(), bytes.size()});
  return *this;
}

void Digest::feed(char kind, std::string_view tag, std::string_view bytes) {
  auto put = [&](std::string_view text) {
    auto length = bytes_of(text.size());
    XXH3_128bits_update(&state_->xxh, length.data(), length.size());
    XXH3_128bits_update(&state_->xxh, text.data(), text.size());
  };
  XXH3_128bits_update(&state_->xxh, &kind, 1);
  put(tag);
  put(bytes);
}

std::string Digest::hex() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->xxh));
  std::string text;
  for (unsigned char byte : canonical.digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace lacuna
