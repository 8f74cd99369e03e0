#include "tools/lacuna/npy.h"

#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/tool/command.h"

#include <cmath>
#include <cstring>
#include <random>

using namespace lacuna;
using namespace lacuna::tool;

namespace {

std::string complaint(const std::string& bytes) {
  try {
    parse_npy(bytes, "--q 'q.npy'");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::argument);
    return error.what();
  }
  return "accepted";
}

/// A version 1 file around any header text and data.
std::string file(const std::string& header, const std::string& data) {
  std::string bytes = "\x93NUMPY";
  bytes +=
      {'\1', '\0', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  return bytes + header + data;
}

std::string described(const std::string& descr, const std::string& data) {
  return file("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2,), }\n", data);
}

}  // namespace

TEST_CASE("npy: files that numpy wrote come back element by element") {
  lacuna::test::Folder folder;
  auto seed = std::random_device()();
  INFO("seed " << seed);
  // Each array in both orders and every version, with its values as float64 in C order beside it.
  lacuna::test::python(
      "import numpy as np\n"
      "g = np.random.default_rng(" +
      std::to_string(seed) +
      ")\n"
      "f = '" +
      folder.path().string() +
      "/'\n"
      "for t in ['f4', 'f2', 'i8', 'i4', 'i2', 'i1', 'u1', 'b1']:\n"
      "  for i, s in enumerate([(2, 3, 4, 5), (7,), (), (3, 0, 2), (2, 1, 2, 1, 2, 3)]):\n"
      "    x = np.asarray(g.normal(0, 40, s) if t[0] == 'f' else g.integers(0, 2 if t[0] == 'b' "
      "else 120, s)).astype(t)\n"
      "    x.astype('f8').tofile(f + f'{t}_{i}.raw')\n"
      "    for order in 'CF':\n"
      "      for version in [(1, 0), (2, 0), (3, 0)]:\n"
      "        with open(f + f'{t}_{i}_{order}{version[0]}.npy', 'wb') as out:\n"
      "          np.lib.format.write_array(out, np.array(x, order=order), version=version)\n");
  const std::pair<const char*, DType> types[] = {
      {"f4", DType::f32}, {"f2", DType::f16}, {"i8", DType::i64}, {"i4", DType::i32},
      {"i2", DType::i16}, {"i1", DType::i8},  {"u1", DType::u8},  {"b1", DType::boolean}};
  const std::vector<std::int64_t> shapes[] = {{2, 3, 4, 5}, {7}, {}, {3, 0, 2}, {2, 1, 2, 1, 2, 3}};
  for (auto [name, dtype] : types) {
    for (int i = 0; i < 5; ++i) {
      std::string stem = std::string(name) + "_" + std::to_string(i);
      std::string raw = lacuna::test::read(folder / (stem + ".raw"));
      for (const char* form : {"_C1", "_C2", "_C3", "_F1", "_F2", "_F3"}) {
        INFO(stem << form);
        Array array = read_npy(folder / (stem + form + ".npy"), "--q");
        REQUIRE(array.dtype == dtype);
        REQUIRE(array.shape == shapes[i]);
        REQUIRE(raw.size() == 8 * static_cast<std::size_t>(array.elements()));
        int wrong = 0;
        for (std::int64_t at = 0; at < array.elements(); ++at) {
          double expected;
          std::memcpy(&expected, raw.data() + 8 * at, 8);
          double found = dtype == DType::f32 || dtype == DType::f16
                             ? array.real(at)
                             : static_cast<double>(array.integer(at));
          wrong += found != expected;
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("npy: numpy reads what we write") {
  lacuna::test::Folder folder;
  std::mt19937 generator(std::random_device{}());
  for (auto shape : {std::vector<std::int64_t>{2, 3, 4, 5}, {7}, {}, {0, 4}}) {
    Array array = Array::zeros(DType::f32, shape);
    double sum = 0;
    for (std::int64_t i = 0; i < array.elements(); ++i) {
      array.set_real(i, static_cast<int>(generator() % 1000));
      sum += array.real(i) * static_cast<double>(i + 1);
    }
    auto path = folder.write("x.npy", format_npy(array));
    auto seen = lacuna::test::python("import numpy as np\nx = np.load('" + path +
                                     "')\n"
                                     "print(x.dtype, list(x.shape), x.flags['C_CONTIGUOUS'], "
                                     "int((x.reshape(-1) * (1 + np.arange(x.size))).sum()))");
    std::string list;
    for (auto extent : shape) list += (list.empty() ? "" : ", ") + std::to_string(extent);
    CHECK(seen == "float32 [" + list + "] True " + std::to_string(static_cast<long>(sum)) + "\n");
    Array again = parse_npy(format_npy(array), "x");
    CHECK(again.shape == array.shape);
    CHECK(again.bytes == array.bytes);
    CHECK(format_npy(array).find('\n') % 64 == 63);
  }
}

TEST_CASE("npy: bf16 is widened, for numpy has no name for it") {
  Array array = Array::zeros(DType::bf16, {3});
  array.set_real(0, 1.0), array.set_real(1, -2.5), array.set_real(2, 3.140625);
  Array again = parse_npy(format_npy(array), "x");
  CHECK(again.dtype == DType::f32);
  CHECK(again.real(0) == 1.0);
  CHECK(again.real(1) == -2.5);
  CHECK(again.real(2) == 3.140625);
}

TEST_CASE("npy: what is not such a file is refused in one sentence") {
  const std::string eight(8, '\0'), good = described("<f4", eight);
  REQUIRE(complaint(good) == "accepted");
  struct Row {
    std::string bytes, said;
  };
  const std::string too_deep =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1), }\n";
  const std::string huge =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n";
  const std::string negative = "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n";
  const std::string fields =
      "{'descr': [('x', '<f4'), ('y', '<f4')], 'fortran_order': False, 'shape': (1,), }\n";
  const Row rows[] = {
      {"", "is empty"},
      {"hello, world", "is not a .npy file"},
      {std::string("PK\3\4 and so on", 14), "is a .npz archive"},
      {good.substr(0, 5), "is not a .npy file"},
      {good.substr(0, 8), "is truncated: it ends inside its header"},
      {good.substr(0, 30), "is truncated: it ends inside its header"},
      {good.substr(0, good.size() - 1), "header promises 8 bytes of data, and it holds 7"},
      {good + "x", "has 1 bytes after its data"},
      {std::string("\x93NUMPY\x04\x00\x10\x00", 10) + eight, "npy version 4.0"},
      {described(">f4", eight), "is big-endian"},
      {described("<f8", eight + eight), "holds float64"},
      {described("<u4", eight), "holds dtype '<u4'"},
      {described("|O", eight), "holds pickled objects"},
      {described("|V2", "abcd"), "save float32 and pass --dtype bf16"},
      {described("<c8", eight + eight),
       "accepted are float32, float16, int64, int32, int16, int8, uint8 and bool"},
      {file(fields, eight), "structured dtype"},
      {file(too_deep, "abcd"), "has 7 axes, and at most 6 are read"},
      {file(huge, "abcd"), "overflows 64 bits"},
      {file(negative, "abcd"), "header that is not"},
      {file("{'descr': '<f4', 'shape': (2,), }\n", eight), "header that is not"},
      {file("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", eight),
       "header that is not"},
      {file("__import__('os')", eight), "header that is not"},
      {file("", eight), "header that is not"},
  };
  for (const Row& row : rows) {
    std::string said = complaint(row.bytes);
    INFO(row.said << " | " << said);
    CHECK(said.find(row.said) != std::string::npos);
    CHECK(said.rfind("--q 'q.npy' ", 0) == 0);
    CHECK(said.find('\n') == std::string::npos);
  }
}

TEST_CASE("npy: no mutation of a file crashes or grows memory") {
  auto seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 generator(seed);
  Array array = Array::zeros(DType::f16, {2, 3, 4});
  const std::string good = format_npy(array);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (int i = 0, n = 1 + static_cast<int>(generator() % 4); i < n; ++i) {
      bytes[generator() % std::min<std::size_t>(bytes.size(), 100)] =
          static_cast<char>(generator());
    }
    if (generator() % 4 == 0) bytes.resize(generator() % bytes.size());
    try {
      accepted += parse_npy(bytes, "x").elements() >= 0;
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::argument);
    }
  }
  CHECK(accepted < 20000);
}
