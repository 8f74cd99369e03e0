#include "lacuna/error.hpp"

#include "bench/laboratory/frequency.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace lacuna::bench {
namespace {

/// Reads of an ELF file, each checked against its end.
class Elf {
 public:
  explicit Elf(std::string_view bytes) : bytes_(bytes) {
    if (!bytes.starts_with("\x7f"
                           "ELF\x02"))
      fail();
  }
  std::string_view section(std::string_view name) const {
    const auto table = read<std::uint64_t>(40);
    const auto size = read<std::uint16_t>(58), count = read<std::uint16_t>(60);
    const auto names =
        read<std::uint64_t>(table + std::uint64_t{size} * read<std::uint16_t>(62) + 24);
    for (std::uint64_t k = 0; k < count; ++k) {
      const std::uint64_t header = table + size * k;
      const std::string_view found = part(names + read<std::uint32_t>(header), name.size() + 1);
      if (found.substr(0, name.size()) == name && found.back() == 0)
        return part(read<std::uint64_t>(header + 24), read<std::uint64_t>(header + 32));
    }
    return {};
  }

 private:
  [[noreturn]] static void fail() {
    throw Error(ErrorKind::unsupported, "a cubin is not the 64-bit ELF file that it should be");
  }
  /// Shorter at the end of the file.
  std::string_view part(std::uint64_t at, std::uint64_t size) const {
    if (at >= bytes_.size()) fail();
    return bytes_.substr(at, size);
  }
  template <class T>
  T read(std::uint64_t at) const {
    T value;
    const std::string_view from = part(at, sizeof value);
    if (from.size() != sizeof value) fail();
    std::memcpy(&value, from.data(), sizeof value);
    return value;
  }

  std::string_view bytes_;
};

}  // namespace

std::string embedded_ptx(std::string_view cubin) {
  std::string text(Elf(cubin).section(".nv_debug_ptx_txt"));
  std::replace(text.begin(), text.end(), '\0', '\n');
  return text;
}

}  // namespace lacuna::bench
