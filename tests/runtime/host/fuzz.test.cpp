// Broken PTX: whatever the text, nothing but lacuna::Error may come out, and nothing may be touched
// that is not ours.
#include "lacuna/error.hpp"

#include "tests/catch.h"
#include "tests/runtime/host/bench.h"
#include "tests/runtime/host/nvrtc.h"
#include "tests/runtime/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <typeinfo>

namespace lacuna::runtime::host::test {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i + 1;
    const auto inside = [&](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '%' || c == '.' ||
             c == '$';
    };
    if (inside(text[i]))
      while (end < text.size() && inside(text[end])) ++end;
    words.push_back(text.substr(i, end - i));
    i = end;
  }
  return words;
}

/// Words dropped, doubled, swapped, taken from elsewhere, or damaged in one character.
std::string mutated(std::vector<std::string> words, std::mt19937& random) {
  const auto any = [&] { return random() % words.size(); };
  for (int change = 1 + static_cast<int>(random() % 4); change > 0; --change) {
    const std::size_t at = any();
    switch (random() % 6) {
      case 0:
        words[at].clear();
        break;
      case 1:
        words[at] += words[at];
        break;
      case 2:
        std::swap(words[at], words[any()]);
        break;
      case 3:
        words[at] = words[any()];
        break;
      case 4:
        if (!words[at].empty())
          words[at][random() % words[at].size()] = static_cast<char>(32 + random() % 95);
        break;
      default:
        words[at] = std::to_string(random() << random() % 33);
        break;
    }
  }
  std::string text;
  for (const std::string& word : words) text += word;
  if (random() % 16 == 0) text.resize(random() % text.size());
  return text;
}

struct Counts {
  int loaded = 0, ran = 0, refused = 0, stopped = 0;
};

/// Loads, and runs where it loads: with real buffers, as the unmodified kernel would be.
void attempt(const std::string& text, const Artifact& like, Counts& counts) {
  Artifact artifact = like;
  artifact.payload = text;
  try {
    const auto kernel =
        open_host(HostOptions{.threads = 1, .instruction_limit = 200000})->load(artifact);
    ++counts.loaded;
    std::vector<std::uint64_t> params(static_cast<std::size_t>(artifact.param_bytes) / 8,
                                      0x0000004000000040);
    std::vector<float> memory[3] = {std::vector<float>(4096, 1), std::vector<float>(4096, 2),
                                    std::vector<float>(4096, 3)};
    std::vector<Region> regions;
    std::vector<AddressSlot> slots;
    for (std::uint32_t i = 0; i < 3; ++i) {
      regions.push_back(
          {"x", TensorView::contiguous(memory[i].data(), DType::f32, {4096}), i == 2});
      slots.push_back({8 * i, i});
    }
    kernel->launch({.blocks = 1,
                    .params = std::as_bytes(std::span(params)),
                    .slots = slots,
                    .regions = regions});
    ++counts.ran;
  } catch (const Error& error) {
    REQUIRE(std::string(error.what()).size() > 10);
    ++(error.kind() == ErrorKind::device &&
               std::string(error.what()).find("CTA 0") != std::string::npos
           ? counts.stopped
           : counts.refused);
  }
}

void fuzz(const std::string& text, const Artifact& like, int rounds) {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  const std::vector<std::string> words = words_of(text);
  Counts counts;
  for (int round = 0; round < rounds; ++round) {
    const std::string broken = mutated(words, random);
    try {
      attempt(broken, like, counts);
    } catch (const std::exception& other) {
      FAIL("round " << round << ": " << typeid(other).name() << ": " << other.what());
    }
  }
  INFO("loaded " << counts.loaded << ", ran " << counts.ran << ", refused " << counts.refused
                 << ", stopped " << counts.stopped);
  CHECK(counts.loaded > 0);
  CHECK(counts.refused > 0);
}

}  // namespace

TEST_CASE("mutations of a kernel give errors, not crashes") {
  Artifact artifact;
  artifact.entry = "mixture";
  artifact.threads = 128;
  artifact.param_bytes = 32;
  fuzz(kernel_file("mixture.ptx"), artifact, 12000);
  artifact = Artifact{};
  artifact.entry = "attention";
  artifact.threads = 256;
  artifact.shared_bytes = 70000;
  artifact.param_bytes = 48;
  fuzz(kernel_file("attention.ptx"), artifact, 1500);
}

TEST_CASE("random tokens give errors, not crashes") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  static constexpr const char* tokens[] = {".version ",
                                           "9.0 ",
                                           ".target ",
                                           "sm_80 ",
                                           ".entry ",
                                           "k",
                                           "(",
                                           ")",
                                           "{",
                                           "}",
                                           "[",
                                           "]",
                                           ";",
                                           ",",
                                           ":",
                                           "@",
                                           "!",
                                           "|",
                                           "+",
                                           "-",
                                           "<",
                                           ">",
                                           "=",
                                           ".reg ",
                                           ".b32 ",
                                           ".pred ",
                                           "%r",
                                           "%p1 ",
                                           "4 ",
                                           "0f3f800000 ",
                                           ".param ",
                                           ".u64 ",
                                           ".shared ",
                                           ".align ",
                                           "add.s32 ",
                                           "bra ",
                                           "$L ",
                                           ".loc ",
                                           "1 ",
                                           ".func ",
                                           "call ",
                                           "mov.b64 ",
                                           "ld.global.f32 ",
                                           "\"",
                                           "/*",
                                           "//",
                                           "\n"};
  Artifact artifact;
  artifact.entry = std::string("k");
  artifact.threads = 32;
  Counts counts;
  for (int round = 0; round < 60000; ++round) {
    std::string text = ".version 8.0\n.target sm_80\n.address_size 64\n";
    if (random() % 2) text += ".entry k() { .reg .b32 %r<4>; .reg .pred %p1; ";
    for (int n = static_cast<int>(random() % 40); n > 0; --n)
      text += tokens[random() % std::size(tokens)];
    attempt(text, artifact, counts);
  }
  CHECK(counts.refused > 10000);
}

TEST_CASE("random operands of every form give errors or results, not crashes") {
  const unsigned seed = lacuna::test::fresh_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  static constexpr const char* operands[] = {"%p1",
                                             "%h1",
                                             "%r1",
                                             "%f2",
                                             "%d3",
                                             "5",
                                             "-1",
                                             "0f3f800000",
                                             "0d3ff0000000000000",
                                             "[%d1]",
                                             "[%r1+4]",
                                             "[p0]",
                                             "[8]",
                                             "{%r1, %r2}",
                                             "{%d1, %d2}",
                                             "{%h1, %h2, %h3, %h4}",
                                             "{%r1,%r2,%r3,_}",
                                             "%p1|%p2",
                                             "%r1|%p2",
                                             "!%p1",
                                             "_",
                                             "%tid.x",
                                             "p0",
                                             "$L",
                                             "$T"};
  Artifact artifact;
  artifact.entry = std::string("k");
  artifact.threads = 32;
  artifact.param_bytes = 24;
  Counts counts;
  for (const Row* row : table(best_isa()).rows()) {
    for (int round = 0; round < 20; ++round) {
      std::string list;
      for (int n = static_cast<int>(random() % 6); n > 0; --n)
        list +=
            fmt::format("{}{}", list.empty() ? "" : ", ", operands[random() % std::size(operands)]);
      const std::string guard = random() % 2 ? "@%p3 " : "";
      attempt(
          module_of(3, fmt::format("ld.param.u64 %d1, [p0]; mov.u32 %r1, %tid.x; setp.ne.u32 %p3, "
                                   "%r1, 3;\n$T: .branchtargets $L, $L;\n{}{} {};\n$L: ret;",
                                   guard, row->name, list)),
          artifact, counts);
    }
  }
  CHECK(counts.refused > 1000);
  CHECK(counts.ran > 100);
}

}  // namespace lacuna::runtime::host::test
