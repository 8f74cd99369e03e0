#include "runtime/artifact.h"

#include "lacuna/error.hpp"

#include "compiler/base/digest.h"
#include "tests/catch.h"
#include "tests/runtime/random.h"

#include <string>
#include <vector>

namespace lacuna::runtime {
namespace {

using Random = std::mt19937;

std::string random_text(Random& random, int most) {
  std::string text(random() % (most + 1), 0);
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

Artifact random_artifact(Random& random) {
  Artifact a;
  a.format = random() % 2 ? Format::ptx : Format::cubin;
  a.payload = random_text(random, 300), a.entry = random_text(random, 20);
  a.arch = {static_cast<int>(random() % 200), random() % 2 ? 'a' : '\0'};
  a.threads = static_cast<int>(random()), a.shared_bytes = static_cast<int>(random());
  a.param_bytes = static_cast<int>(random());
  a.compiler = random_text(random, 20), a.source = random_text(random, 200);
  a.log = random_text(random, 50), a.ir = random_text(random, 50);
  a.registers = static_cast<int>(random()), a.spill_stores = -1;
  a.spill_loads = static_cast<int>(random());
  for (unsigned i = random() % 3; i > 0; --i) {
    LoopMix& loop = a.loops.emplace_back();
    loop.depth = static_cast<int>(random() % 4), loop.place = random_text(random, 10);
    loop.trip_count = random_text(random, 10);
    for (unsigned j = random() % 3; j > 0; --j) {
      loop.counts.emplace_back(random_text(random, 8), static_cast<int>(random()));
    }
  }
  return a;
}

std::string reason(std::string_view bytes) {
  try {
    deserialize(bytes);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::io);
    return error.what();
  }
  return "accepted";
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

TEST_CASE("an artifact survives its file") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  for (int round = 0; round < 500; ++round) {
    const Artifact artifact = random_artifact(random);
    const std::string bytes = serialize(artifact);
    REQUIRE(deserialize(bytes) == artifact);
    REQUIRE(serialized_size(bytes.substr(0, artifact_header_bytes)) == bytes.size());
  }
}

TEST_CASE("the artifact format is what it was") {
  const Artifact a{.format = Format::cubin,
                   .payload = "PAY",
                   .entry = "f",
                   .arch = {90, 'a'},
                   .threads = 128,
                   .shared_bytes = 32768,
                   .param_bytes = 600,
                   .compiler = "nvrtc 13.0",
                   .source = "src",
                   .log = "",
                   .registers = 40,
                   .spill_stores = 0,
                   .spill_loads = 8,
                   .ir = "i",
                   .loops = {{1, "a.cu:3", "n", {{"fma", 7}}}}};
  const std::string bytes = serialize(a);
  CHECK(hex(bytes.substr(0, 32)) ==
        "8f4c4143554e410a"
        "01000000"
        "00000000"
        "8f00000000000000"
        "0300000000000000");
  CHECK(bytes.substr(32, 32) == "44577b447ce794bab8084f43c44d00cf");
  CHECK(hex(bytes.substr(64)) ==
        "01"
        "0100000000000000"
        "66"
        "5a000000"
        "61"
        "80000000"
        "00800000"
        "58020000"
        "0a00000000000000"
        "6e767274632031332e30"
        "0300000000000000"
        "737263"
        "0000000000000000"
        "28000000"
        "00000000"
        "08000000"
        "0100000000000000"
        "69"
        "0100000000000000"
        "01000000"
        "0600000000000000"
        "612e63753a33"
        "0100000000000000"
        "6e"
        "0100000000000000"
        "0300000000000000"
        "666d61"
        "07000000"
        "504159");
}

TEST_CASE("every truncation of an artifact is refused") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  for (int round = 0; round < 10; ++round) {
    const std::string bytes = serialize(random_artifact(random));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      // Exactly that many bytes on the heap, so that a sanitizer sees a read beyond them.
      const std::vector<char> cut(bytes.begin(), bytes.begin() + size);
      REQUIRE(reason({cut.data(), cut.size()}).find("artifact: ") == 0);
    }
    REQUIRE(reason(bytes + '\0').find("too long") != std::string::npos);
  }
}

TEST_CASE("flipped bits never give another artifact") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  const std::string bytes = serialize(random_artifact(random));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      REQUIRE(reason(changed) != "accepted");
    }
  }
  for (int round = 0; round < 20000; ++round) {
    std::string changed = bytes;
    for (unsigned i = 1 + random() % 8; i > 0; --i) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    if (changed != bytes) REQUIRE(reason(changed) != "accepted");
  }
  for (int round = 0; round < 20000; ++round) {
    std::string noise = random_text(random, 400);
    if (random() % 2) noise = bytes.substr(0, random() % 64) + noise;
    REQUIRE(reason(noise) != "accepted");
  }
}

TEST_CASE("no length is believed, even under a right checksum") {
  const unsigned seed = test::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  Random random(seed);
  int refused = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string bytes = serialize(random_artifact(random));
    for (unsigned i = 1 + random() % 3; i > 0; --i) {
      bytes[64 + random() % (bytes.size() - 64)] = static_cast<char>(random());
    }
    const std::string_view all = bytes;
    Digest digest;
    digest.add("header", all.substr(0, 32)).add("body", all.substr(64));
    bytes.replace(32, 32, digest.hex());
    const std::vector<char> exact(bytes.begin(), bytes.end());
    try {
      deserialize({exact.data(), exact.size()});
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::io);
      REQUIRE(error.what() != std::string("artifact: the checksum does not match the content"));
      ++refused;
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("a refused artifact says why") {
  const std::string bytes = serialize(Artifact{});
  std::string changed = bytes;
  CHECK(reason("#!/bin/sh\n") == "artifact: not a lacuna artifact");
  CHECK(reason(bytes.substr(0, 20)) ==
        "artifact: truncated: 20 bytes, and the header alone has 64");
  changed[8] = 9;
  CHECK(reason(changed) == "artifact: format version 9, and this build reads 1");
  changed = bytes, changed[40] ^= 1;
  CHECK(reason(changed) == "artifact: the checksum does not match the content");
  changed = bytes, changed[23] = '\x7f';
  CHECK(reason(changed) == "artifact: the header claims an impossible size");
  changed = bytes, changed[24] = 5;
  CHECK(reason(changed).find("artifact: truncated: ") == 0);
}

}  // namespace
}  // namespace lacuna::runtime
