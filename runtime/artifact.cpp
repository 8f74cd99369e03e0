#include "runtime/artifact.h"

#include "lacuna/error.hpp"

#include "compiler/base/digest.h"

#include <fmt/format.h>

#include <limits>
#include <type_traits>

namespace lacuna::runtime {
namespace {

// A file: magic[8] version:u32 zero:u32 fields:u64 payload:u64 checksum[32] fields... payload...
// Integers are little-endian; the checksum, 32 hex digits, covers everything but itself.
constexpr std::string_view magic("\x8fLACUNA\n", 8);
constexpr std::size_t checksum_at = 32;
static_assert(checksum_at + 32 == artifact_header_bytes);

[[noreturn]] void fail(std::string_view what) {
  throw Error(ErrorKind::io, fmt::format("artifact: {}", what));
}

template <class T>
void put(std::string& bytes, T value) {
  auto rest = static_cast<std::make_unsigned_t<T>>(value);
  for (std::size_t byte = 0; byte < sizeof(T); ++byte) {
    bytes.push_back(static_cast<char>(rest & 0xff));
    rest = static_cast<decltype(rest)>(static_cast<std::uint64_t>(rest) >> 8);
  }
}

template <class T>
T get(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t byte = sizeof(T); byte-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[byte]);
  }
  return static_cast<T>(value);
}

struct Writer {
  std::string bytes;

  void operator()(std::int32_t value) { put(bytes, value); }
  void operator()(char value) { put(bytes, value); }
  void operator()(Format value) { put(bytes, static_cast<std::uint8_t>(value)); }
  void operator()(const std::string& text) {
    put(bytes, static_cast<std::uint64_t>(text.size()));
    bytes += text;
  }
  template <class T>
  void operator()(const std::vector<T>& list) {
    put(bytes, static_cast<std::uint64_t>(list.size()));
    for (const T& item : list) each(*this, item);
  }
};

struct Reader {
  std::string_view rest;

  std::string_view take(std::uint64_t count) {
    if (count > rest.size()) {
      fail(fmt::format("a field claims {} bytes where {} are left", count, rest.size()));
    }
    std::string_view taken = rest.substr(0, count);
    rest.remove_prefix(count);
    return taken;
  }
  template <class T>
  T number() {
    return get<T>(take(sizeof(T)));
  }
  void operator()(std::int32_t& value) { value = number<std::int32_t>(); }
  void operator()(char& value) { value = number<char>(); }
  void operator()(Format& value) {
    const auto raw = number<std::uint8_t>();
    if (raw > static_cast<std::uint8_t>(Format::cubin)) fail(fmt::format("format {}", raw));
    value = static_cast<Format>(raw);
  }
  void operator()(std::string& text) { text = take(number<std::uint64_t>()); }
  template <class T>
  void operator()(std::vector<T>& list) {
    // No reserve: the count is not to be believed before its items have been read.
    for (auto count = number<std::uint64_t>(); count > 0; --count) each(*this, list.emplace_back());
  }
};

// One list of fields for both directions; the payload follows them, for tools that cut it out.
template <class Io, class Value>
requires std::is_same_v<std::remove_const_t<Value>, Artifact>
void each(Io& io, Value& artifact) {
  io(artifact.format), io(artifact.entry), io(artifact.arch.sm), io(artifact.arch.suffix);
  io(artifact.threads), io(artifact.shared_bytes), io(artifact.param_bytes);
  io(artifact.compiler), io(artifact.source), io(artifact.log);
  io(artifact.registers), io(artifact.spill_stores), io(artifact.spill_loads);
  io(artifact.ir), io(artifact.loops);
}
template <class Io, class Value>
requires std::is_same_v<std::remove_const_t<Value>, LoopMix>
void each(Io& io, Value& loop) {
  io(loop.depth), io(loop.place), io(loop.trip_count), io(loop.counts);
}
template <class Io, class Value>
requires std::is_same_v<std::remove_const_t<Value>, std::pair<std::string, int>>
void each(Io& io, Value& count) {
  io(count.first), io(count.second);
}

std::string checksum(std::string_view header, std::string_view body) {
  return Digest().add("header", header.substr(0, checksum_at)).add("body", body).hex();
}

struct Header {
  std::uint64_t fields, payload;
};

Header read_header(std::string_view bytes) {
  if (bytes.substr(0, magic.size()) != magic.substr(0, bytes.size())) fail("not a lacuna artifact");
  if (bytes.size() < artifact_header_bytes) {
    fail(fmt::format("truncated: {} bytes, and the header alone has {}", bytes.size(),
                     artifact_header_bytes));
  }
  const auto version = get<std::uint32_t>(bytes.substr(8));
  if (version != artifact_version) {
    fail(fmt::format("format version {}, and this build reads {}", version, artifact_version));
  }
  const Header header{get<std::uint64_t>(bytes.substr(16)), get<std::uint64_t>(bytes.substr(24))};
  constexpr auto most = std::numeric_limits<std::uint64_t>::max() / 4;
  if (header.fields > most || header.payload > most) fail("the header claims an impossible size");
  return header;
}

}  // namespace

std::string serialize(const Artifact& artifact) {
  Writer fields;
  each(fields, artifact);
  const std::string body = fields.bytes + artifact.payload;
  std::string file(magic);
  put(file, artifact_version);
  put(file, std::uint32_t{0});
  put(file, static_cast<std::uint64_t>(fields.bytes.size()));
  put(file, static_cast<std::uint64_t>(artifact.payload.size()));
  return file + checksum(file, body) + body;
}

std::uint64_t serialized_size(std::string_view bytes) {
  const Header header = read_header(bytes);
  return artifact_header_bytes + header.fields + header.payload;
}

Artifact deserialize(std::string_view bytes) {
  const Header header = read_header(bytes);
  if (const std::uint64_t size = serialized_size(bytes); bytes.size() != size) {
    fail(fmt::format("{}: {} bytes, and the header claims {}",
                     bytes.size() < size ? "truncated" : "too long", bytes.size(), size));
  }
  const std::string_view body = bytes.substr(artifact_header_bytes);
  if (checksum(bytes, body) != bytes.substr(checksum_at, 32)) {
    fail("the checksum does not match the content");
  }
  Artifact artifact;
  Reader reader{body.substr(0, header.fields)};
  each(reader, artifact);
  if (!reader.rest.empty()) fail(fmt::format("{} bytes follow the last field", reader.rest.size()));
  artifact.payload = body.substr(header.fields);
  return artifact;
}

}  // namespace lacuna::runtime
