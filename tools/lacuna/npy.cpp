#include "tools/lacuna/npy.h"

#include "lacuna/error.hpp"

#include "tools/lacuna/files.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <optional>

namespace lacuna::tool {
namespace {

constexpr std::string_view magic = "\x93NUMPY";

struct TypeRow {
  DType dtype;
  std::string_view descr;
};
constexpr TypeRow types[] = {
    {DType::f32, "<f4"}, {DType::f16, "<f2"}, {DType::i64, "<i8"}, {DType::i32, "<i4"},
    {DType::i16, "<i2"}, {DType::i8, "|i1"},  {DType::u8, "|u1"},  {DType::boolean, "|b1"},
};

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};

/// The Python literal of a header, and no other: {'descr': '<f4', 'fortran_order': False, 'shape':
/// (1, 2), }
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  /// Nothing where the text is not such a literal.
  std::optional<Header> parse() {
    Header header;
    int seen = 0;
    if (!take('{')) return {};
    while (!take('}')) {
      auto key = quoted();
      if (!key || !take(':')) return {};
      int bit = *key == "descr" ? 1 : *key == "fortran_order" ? 2 : *key == "shape" ? 4 : 8;
      if (bit == 8 || seen & bit || !value(*key, header)) return {};
      seen |= bit;
      if (!take(',') && !peek('}')) return {};
    }
    skip();
    if (seen != 7 || !rest_.empty()) return {};
    return header;
  }

 private:
  bool value(std::string_view key, Header& header) {
    if (key == "descr") {
      auto text = peek('[') ? std::optional<std::string>(rest_) : quoted();
      if (peek('[')) rest_ = from_last_bracket();
      header.descr = text.value_or("");
      return text.has_value();
    }
    if (key == "fortran_order") {
      header.fortran_order = word("True");
      return header.fortran_order || word("False");
    }
    return tuple(header.shape);
  }

  bool tuple(std::vector<std::int64_t>& shape) {
    if (!take('(')) return false;
    while (!take(')')) {
      auto extent = integer();
      if (!extent) return false;
      shape.push_back(*extent);
      if (!take(',') && !peek(')')) return false;
    }
    return true;
  }

  std::optional<std::string> quoted() {
    skip();
    if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) return {};
    auto end = rest_.find(rest_[0], 1);
    if (end == rest_.npos) return {};
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::optional<std::int64_t> integer() {
    skip();
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      if (value > (INT64_MAX - 9) / 10) return {};
      value = value * 10 + (rest_[digits] - '0');
    }
    rest_.remove_prefix(digits);
    return digits ? std::optional(value) : std::nullopt;
  }

  /// The fields of a structured type are not read, only stepped over.
  std::string_view from_last_bracket() const {
    auto end = rest_.rfind(']');
    return end == rest_.npos ? std::string_view{} : rest_.substr(end + 1);
  }

  void skip() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool peek(char c) {
    skip();
    return !rest_.empty() && rest_[0] == c;
  }
  bool take(char c) {
    if (!peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool word(std::string_view text) {
    skip();
    if (rest_.substr(0, text.size()) != text) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  std::string_view rest_;
};

class Reader {
 public:
  Reader(std::string_view bytes, std::string_view name) : bytes_(bytes), name_(name) {}

  Array read() {
    Header header = read_header();
    DType dtype = dtype_of(header.descr);
    if (header.shape.size() > max_rank) {
      throw wrong("has {} axes, and at most {} are read", header.shape.size(), max_rank);
    }
    check_size(header.shape, dtype);
    Array array = Array::zeros(dtype, header.shape);
    if (header.fortran_order) {
      transpose_into(array);
    } else if (!array.bytes.empty()) {
      std::memcpy(array.bytes.data(), bytes_.data(), array.bytes.size());
    }
    return array;
  }

 private:
  template <class... T>
  Error wrong(fmt::format_string<T...> text, T&&... values) const {
    return Error(ErrorKind::argument,
                 fmt::format("{} {}", name_, fmt::format(text, std::forward<T>(values)...)));
  }

  Header read_header() {
    if (bytes_.empty()) throw wrong("is empty, and a .npy file as numpy.save writes it is needed");
    if (bytes_.substr(0, 4) == std::string_view("PK\3\4")) {
      throw wrong("is a .npz archive; save the one array with numpy.save");
    }
    if (bytes_.substr(0, magic.size()) != magic) {
      throw wrong("is not a .npy file: it does not begin with \\x93NUMPY, as numpy.save writes it");
    }
    if (bytes_.size() < 10) throw wrong("is truncated: it ends inside its header");
    int major = static_cast<unsigned char>(bytes_[6]),
        minor = static_cast<unsigned char>(bytes_[7]);
    if (major < 1 || major > 3 || minor != 0) {
      throw wrong("has npy version {}.{}, and 1.0, 2.0 and 3.0 are read", major, minor);
    }
    std::size_t width = major == 1 ? 2 : 4, length = 0;
    bytes_.remove_prefix(8);
    if (bytes_.size() < width) throw wrong("is truncated: it ends inside its header");
    for (std::size_t i = width; i-- > 0;)
      length = length << 8 | static_cast<unsigned char>(bytes_[i]);
    bytes_.remove_prefix(width);
    if (bytes_.size() < length) throw wrong("is truncated: it ends inside its header");
    auto header = HeaderParser(bytes_.substr(0, length)).parse();
    bytes_.remove_prefix(length);
    if (!header) throw wrong("has a header that is not {{'descr', 'fortran_order', 'shape'}}");
    return *header;
  }

  DType dtype_of(std::string_view descr) const {
    constexpr std::string_view accepted =
        "accepted are float32, float16, int64, int32, int16, int8, uint8 and bool";
    for (const TypeRow& row : types) {
      if (descr == row.descr || (descr.size() == 3 && descr[1] == row.descr[1] && descr[2] == '1' &&
                                 row.descr[2] == '1')) {
        return row.dtype;
      }
    }
    if (descr.substr(0, 1) == "[") throw wrong("holds a structured dtype; {}", accepted);
    if (descr.substr(0, 1) == ">")
      throw wrong("is big-endian ('{}'); {}, little-endian", descr, accepted);
    if (descr == "<f8") throw wrong("holds float64; {} (numpy: x.astype('float32'))", accepted);
    if (descr == "|V2" || descr == "<V2") {
      throw wrong(
          "holds 2-byte void, as bfloat16 arrays are saved, a type that .npy has no name for: save "
          "float32 and pass --dtype bf16");
    }
    if (descr.substr(0, 2) == "|O") throw wrong("holds pickled objects; {}", accepted);
    throw wrong("holds dtype '{}'; {}", descr, accepted);
  }

  /// The data is exactly what the header promises: no file grows memory beyond its own size.
  void check_size(const std::vector<std::int64_t>& shape, DType dtype) const {
    std::int64_t promised = size_of(dtype);
    bool overflow = false;
    for (std::int64_t extent : shape)
      overflow |= __builtin_mul_overflow(promised, extent, &promised);
    for (std::int64_t extent : shape) {
      if (extent == 0) promised = 0, overflow = false;
    }
    if (overflow) throw wrong("is not a .npy file: its shape overflows 64 bits");
    auto held = static_cast<std::int64_t>(bytes_.size());
    if (held < promised) {
      throw wrong("is truncated: its header promises {} bytes of data, and it holds {}", promised,
                  held);
    }
    if (held > promised) {
      throw wrong("has {} bytes after its data, which its header does not promise",
                  held - promised);
    }
  }

  void transpose_into(Array& array) const {
    int size = size_of(array.dtype);
    auto rank = array.shape.size();
    std::array<std::int64_t, max_rank> index{}, stride{};
    std::int64_t step = 1;
    for (std::size_t axis = 0; axis < rank; ++axis) stride[axis] = step, step *= array.shape[axis];
    for (std::int64_t i = 0, n = array.elements(); i < n; ++i) {
      std::int64_t from = 0;
      for (std::size_t axis = 0; axis < rank; ++axis) from += index[axis] * stride[axis];
      std::memcpy(array.bytes.data() + i * size, bytes_.data() + from * size, size);
      for (std::size_t axis = rank; axis-- > 0 && ++index[axis] == array.shape[axis];)
        index[axis] = 0;
    }
  }

  std::string_view bytes_;
  std::string_view name_;
};

std::string_view descr_of(DType dtype) {
  for (const TypeRow& row : types) {
    if (row.dtype == dtype) return row.descr;
  }
  return {};
}

}  // namespace

Array parse_npy(std::string_view bytes, std::string_view name) {
  return Reader(bytes, name).read();
}

std::string format_npy(const Array& array) {
  if (array.dtype == DType::bf16) return format_npy(cast(array, DType::f32));
  std::string shape;
  for (std::int64_t extent : array.shape) shape += fmt::format("{}, ", extent);
  if (array.shape.size() > 1) shape.resize(shape.size() - 2);
  if (array.shape.size() == 1) shape.pop_back();
  auto header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                            descr_of(array.dtype), shape);
  // numpy aligns the data to 64 bytes, and so do we.
  std::size_t before = magic.size() + 4;
  header.append(63 - (before + header.size()) % 64, ' ');
  header += '\n';
  std::string bytes(magic);
  bytes +=
      {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  bytes += header;
  if (array.bytes.empty()) return bytes;
  return bytes.append(reinterpret_cast<const char*>(array.bytes.data()), array.bytes.size());
}

Array read_npy(const std::string& file, std::string_view what) {
  return parse_npy(read_file(file, what), fmt::format("{} '{}'", what, file));
}

}  // namespace lacuna::tool
