#include "bench/laboratory/trace.h"

#include "bench/laboratory/memory_cost.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace lacuna::bench {

namespace host = runtime::host;

std::string_view opcode_of(std::string_view statement) {
  constexpr std::string_view blanks = " \t\r\n";
  const auto skip_blanks = [&] {
    statement.remove_prefix(std::min(statement.find_first_not_of(blanks), statement.size()));
  };
  skip_blanks();
  if (statement.starts_with('@')) {
    statement.remove_prefix(std::min(statement.find_first_of(blanks), statement.size()));
    skip_blanks();
  }
  return statement.substr(0, statement.find_first_of(" \t\r\n;"));
}

/// One CTA's counts, by decoded instruction.
class Trace::Counter final : public host::Observer {
 public:
  Counter(Counts& counts, const host::Program& program)
      : counts_(counts), program_(program), tallies_(program.code.size()) {}

  /// A statement may be decoded into several instructions, which stand side by side and are
  /// executed equally often; and one of a function anew for each call of it.
  ~Counter() override {
    for (std::size_t k = 0; k < tallies_.size();) {
      const std::ptrdiff_t at = start_of(k);
      double executions = 0;
      for (; k < tallies_.size() && start_of(k) == at; ++k)
        if (tallies_[k].executions != 0) {
          executions = std::max(executions, tallies_[k].executions);
          add(tallies_[k], program_.places[program_.code[k].place], at);
        }
      if (executions != 0) counts_[at].tally.executions += executions;
    }
  }

  void after(const host::Step& step) override { ++of(step.at).executions; }
  void skip(host::Warp&, const host::Instruction& at) override { ++of(at).executions; }
  void touch(const host::Step& step, const host::Touch& touch) override {
    Tally& tally = of(step.at);
    const int bytes = static_cast<int>(touch.access.bytes());
    if (touch.window == host::Window::shared) {
      const Cost cost = shared_cost(touch.at, touch.lanes, bytes, touch.access.atomic);
      tally.wavefronts += cost.needed;
      tally.least_wavefronts += cost.least;
    } else if (touch.window == host::Window::global) {
      const Cost cost = global_cost(touch.at, touch.lanes, bytes);
      tally.sectors += cost.needed;
      tally.least_sectors += cost.least;
    }
  }

 private:
  std::ptrdiff_t start_of(std::size_t k) const {
    return program_.places[program_.code[k].place].text.data() - program_.module->text->data();
  }
  void add(const Tally& mine, const host::Place& place, std::ptrdiff_t at) {
    Statement& statement = counts_[at];
    statement.line = place.line;
    if (statement.opcode.empty()) {
      statement.opcode = opcode_of(place.text);
      statement.source = program_.module->source_place(place.location);
    }
    Tally& tally = statement.tally;
    tally.wavefronts += mine.wavefronts;
    tally.least_wavefronts += mine.least_wavefronts;
    tally.sectors += mine.sectors;
    tally.least_sectors += mine.least_sectors;
  }
  Tally& of(const host::Instruction& at) {
    return tallies_[static_cast<std::size_t>(&at - program_.code.data())];
  }

  Counts& counts_;
  const host::Program& program_;
  std::vector<Tally> tallies_;
};

host::MakeObserver Trace::observer() {
  return [this](host::Cta& cta) { return std::make_unique<Counter>(counts_, *cta.program); };
}

Counts Trace::take() {
  return std::exchange(counts_, {});
}

}  // namespace lacuna::bench
