// What orders memory in the real kernels, taken away place by place: the checks of the host device
// notice.
#include "tests/catch.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/engines.h"
#include "tests/fuzz/random.h"

#include <fmt/format.h>

#include <cstring>
#include <regex>

namespace {

using namespace lacuna;

/// Another compiler's PTX with one statement replaced.
class Mutating final : public runtime::Compiler {
 public:
  explicit Mutating(std::shared_ptr<const runtime::Compiler> inner) : inner_(std::move(inner)) {}
  std::string_view name() const override { return inner_->name(); }
  std::string identity() const override { return inner_->identity(); }
  std::string options(const codegen::Source& source,
                      const runtime::CompileOptions& options) const override {
    return inner_->options(source, options);
  }
  runtime::Artifact compile(const codegen::Source& source,
                            const runtime::CompileOptions& options) const override {
    if (!original_) original_ = inner_->compile(source, options);
    runtime::Artifact mutant = *original_;
    mutant.payload.replace(at_, length_, with_);
    return mutant;
  }
  const std::string& original() const { return original_->payload; }
  void replace(std::size_t at, std::size_t length, std::string with) {
    at_ = at, length_ = length, with_ = std::move(with);
  }

 private:
  std::shared_ptr<const runtime::Compiler> inner_;
  mutable std::optional<runtime::Artifact> original_;
  std::size_t at_ = 0, length_ = 0;
  std::string with_;
};

/// The same values without gaps: rows start on 16 bytes.
class Packed {
 public:
  explicit Packed(TensorView& view)
      : bytes_(static_cast<std::size_t>(view.elements() * size_of(view.dtype)) + 16) {
    const auto start = reinterpret_cast<std::uintptr_t>(bytes_.data());
    TensorView packed = view;
    packed.data = bytes_.data() + (16 - start % 16) % 16;
    std::int64_t stride = 1;
    for (int axis = view.rank; axis-- > 0; stride *= view.shape[axis])
      packed.strides[axis] = stride;
    const auto size = static_cast<std::size_t>(size_of(view.dtype));
    for (std::int64_t flat = 0; flat < view.elements(); ++flat) {
      std::int64_t rest = flat, offset = 0;
      for (int axis = view.rank; axis-- > 0; rest /= view.shape[axis])
        offset += rest % view.shape[axis] * view.strides[axis];
      std::memcpy(
          static_cast<std::byte*>(packed.data) + static_cast<std::size_t>(flat) * size,
          static_cast<const std::byte*>(view.data) + offset * static_cast<std::int64_t>(size),
          size);
    }
    view = packed;
  }

 private:
  std::vector<std::byte> bytes_;
};

/// What orders memory, as statements of PTX.
const std::regex ordering(
    "(bar\\.sync|bar\\.warp\\.sync|cp\\.async\\.commit_group|cp\\.async\\.wait_group)[^;]*;");

/// Nothing, and for a wait also one that lets one group more be on its way.
std::vector<std::string> replacements(const std::string& statement) {
  std::smatch groups;
  static const std::regex wait("cp\\.async\\.wait_group\\s+([0-9]+);");
  if (!std::regex_match(statement, groups, wait)) return {""};
  return {"", fmt::format("cp.async.wait_group {};", std::stoi(groups[1]) + 1)};
}

}  // namespace

TEST_CASE("every barrier and wait of flash forward is needed, and its absence is reported") {
  const std::uint64_t seed = fuzz::fresh_seed();
  INFO("LACUNA_SEED=" << seed);
  fuzz::Random random(seed);
  for (const tests::TestEngine& engine : tests::checking_engines()) {
    if (engine.name.ends_with("unchecked")) continue;
    for (DType dtype : {DType::f32, DType::bf16}) {
      // Some warps see nothing of the first tiles, and some of the last: these have barriers and
      // copies of their own.
      const Spec spec{
          .pattern = Pattern::parse("attention a {\n mask causal\n mask window(100)\n}"),
          .dtype = dtype};
      fuzz::OwnedCall call = fuzz::random_call(
          random, spec, {.batch = 1, .heads = 1, .kv_heads = 1, .queries = 130, .keys = 700});
      const Packed q(call.args.q), k(call.args.k), v(call.args.v), o(call.args.o);
      const auto compiler = std::make_shared<Mutating>(engine.state->compiler);
      const auto outcome = [&] {
        const auto state =
            runtime::make_engine(engine.state->options, engine.state->device, compiler);
        try {
          return tests::run_and_compare(*state, spec, call);
        } catch (const Error& error) {
          return std::string(error.what());
        }
      };
      REQUIRE(outcome() == "");
      const std::string ptx = compiler->original();
      int mutants = 0;
      for (std::sregex_iterator match(ptx.begin(), ptx.end(), ordering), end; match != end; ++match)
        for (const std::string& with : replacements(match->str())) {
          compiler->replace(static_cast<std::size_t>(match->position()),
                            static_cast<std::size_t>(match->length()), with);
          const std::string report = outcome();
          INFO(engine.name << " " << name_of(dtype) << ": '" << match->str() << "' at byte "
                           << match->position() << " as '" << with
                           << "': " << (report.empty() ? "nothing is reported" : report));
          CHECK((report.starts_with("race: ") || report.starts_with("copy in flight: ") ||
                 report.starts_with("uninitialised ") || report.starts_with("deadlock: ")));
          ++mutants;
        }
      CHECK(mutants >= (dtype == DType::f32 ? 7 : 13));
    }
  }
}
