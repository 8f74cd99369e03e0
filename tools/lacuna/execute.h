#pragma once
#include "runtime/program.h"
#include "runtime/program_check.h"
#include "tools/lacuna/inputs.h"
#include "tools/lacuna/progress.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lacuna::tool {

/// Args over arrays in host memory, and what Args borrows. It points into itself: neither copied
/// nor moved.
class HostCall {
 public:
  /// `results` may be null where no output is wanted.
  HostCall(const Inputs& inputs, const Results* results);
  HostCall(const HostCall&) = delete;
  HostCall& operator=(const HostCall&) = delete;

  const Args& args() const { return args_; }
  /// Replaces the address of every tensor that is present.
  void place(const std::function<void*(const TensorView&)>& address);
  void write(const Sparsity& sparsity) { args_.sparsity = &sparsity; }

 private:
  std::vector<NamedValue> params_;
  std::vector<NamedTensor> tensors_;
  Args args_;
};

/// A call prepared on an engine: bound, its values validated, planned, its inputs in the device's
/// memory.
class DeviceCall {
 public:
  /// Throws Error{argument} for whatever is wrong with the inputs, before a device or compiler is
  /// looked for.
  DeviceCall(const EngineOptions& options, const Spec& spec, const Inputs& inputs,
             runtime::Stages* stages);
  ~DeviceCall();
  DeviceCall(const DeviceCall&) = delete;
  DeviceCall& operator=(const DeviceCall&) = delete;

  /// The passes that run() takes: by the call's shape, unless others are asked for.
  void take(const plan::Route& route) { route_ = route; }
  const plan::Route& route() const { return route_; }
  /// Runs over poisoned outputs and brings them back.
  Results run(runtime::Stages* stages);
  /// What the last run found, where the spec asks for it.
  SparsityRows sparsity() const { return sparsity_.value().read(); }
  /// The same with `source` in place of what the plan's pass generates; no cache is asked.
  Results run_source(const codegen::Source& source, runtime::Stages* stages);

  const Args& args() const { return call_on_device_.args(); }
  const ir::Call& bound() const { return bound_; }
  const runtime::Planned& planned() const { return *planned_; }
  plan::Variant variant() const { return runtime::variant_of(args()); }
  EngineState& engine() const { return *engine_; }

 private:
  void* upload(const TensorView& view);
  void release();
  void poison();
  Results collect();

  Results results_;
  HostCall call_on_device_;
  ir::Call bound_;
  std::shared_ptr<EngineState> engine_;
  std::shared_ptr<const runtime::Planned> planned_;
  plan::Route route_;
  std::optional<Sparsity> sparsity_;
  std::vector<void*> memory_;
};

std::string_view name_of(runtime::Stages::Origin origin);
Json to_json(const runtime::Stages& stages);
/// "plan 0.2 ms, generate 0.1 ms, compile 341 ms, ..."
std::string to_text(const runtime::Stages& stages);

}  // namespace lacuna::tool
