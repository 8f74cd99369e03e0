#include "tools/lacuna/execute.h"

#include "compiler/plan/inside.h"
#include "runtime/clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace lacuna::tool {

HostCall::HostCall(const Inputs& inputs, const Results* results) {
  for (const ParamValue& param : inputs.params) params_.push_back({param.name, param.value});
  for (auto& [name, array] : inputs.tensors) tensors_.push_back({name, array.view()});
  args_.q = inputs.q.view();
  args_.k = inputs.k.view();
  args_.v = inputs.v.view();
  if (results)
    for (const Output& output : all_outputs) args_.*output.view = (results->*output.array).view();
  args_.params = params_;
  args_.tensors = tensors_;
  args_.scale = inputs.scale;
  args_.offset = inputs.offset;
  args_.offsets = inputs.offsets.view();
  args_.q_lens = inputs.q_lens.view();
  args_.k_lens = inputs.k_lens.view();
  args_.cu_seqlens_q = inputs.cu_seqlens_q.view();
  args_.cu_seqlens_k = inputs.cu_seqlens_k.view();
}

void HostCall::place(const std::function<void*(const TensorView&)>& address) {
  auto move = [&](TensorView& view) {
    if (view.present()) view.data = address(view);
  };
  for (TensorView* view : {&args_.q, &args_.k, &args_.v, &args_.offsets, &args_.q_lens,
                           &args_.k_lens, &args_.cu_seqlens_q, &args_.cu_seqlens_k}) {
    move(*view);
  }
  for (const Output& output : all_outputs) move(args_.*output.view);
  for (NamedTensor& tensor : tensors_) move(tensor.view);
}

DeviceCall::DeviceCall(const EngineOptions& options, const Spec& spec, const Inputs& inputs,
                       runtime::Stages* stages)
    : results_(results_for(inputs, spec)),
      call_on_device_(inputs, &results_),
      bound_(ir::bind(spec, args())) {
  ir::validate_values(spec, args(), bound_);
  engine_ = runtime::open_engine(options);
  planned_ = runtime::planned_for(*engine_, spec, stages);
  route_ = plan::route(planned_->plan, bound_, ir::sequences_of(spec, args(), bound_));
  try {
    call_on_device_.place([this](const TensorView& view) { return upload(view); });
    if (spec.sparsity) {
      const Program program(std::make_shared<ProgramState>(engine_, planned_));
      call_on_device_.write(sparsity_.emplace(program.sparsity(bound_.shape)));
    }
  } catch (...) {
    release();
    throw;
  }
}

DeviceCall::~DeviceCall() {
  release();
}

void DeviceCall::release() {
  for (void* memory : memory_) engine_->device->release(memory);
  memory_.clear();
}

void* DeviceCall::upload(const TensorView& view) {
  auto bytes = static_cast<std::size_t>(view.elements()) * size_of(view.dtype);
  void* memory = engine_->device->allocate(std::max<std::size_t>(bytes, 1));
  memory_.push_back(memory);
  if (bytes > 0) engine_->device->upload(memory, view.data, bytes);
  return memory;
}

/// NaN everywhere: an element that no kernel writes is then seen.
void DeviceCall::poison() {
  for (const Output& output : all_outputs) {
    const TensorView& view = args().*output.view;
    if (!view.present()) continue;
    std::vector<unsigned char> bytes(
        static_cast<std::size_t>(view.elements()) * size_of(view.dtype), 0xff);
    if (!bytes.empty()) engine_->device->upload(view.data, bytes.data(), bytes.size());
  }
}

Results DeviceCall::collect() {
  const runtime::Device& device = *engine_->device;
  device.synchronize({});
  for (const Output& output : all_outputs) {
    auto& bytes = (results_.*output.array).bytes;
    if (!bytes.empty()) device.download(bytes.data(), (args().*output.view).data, bytes.size());
  }
  return results_;
}

Results DeviceCall::run(runtime::Stages* stages) {
  poison();
  runtime::forward(*engine_, *planned_, args(), {}, stages, route_);
  return collect();
}

Results DeviceCall::run_source(const codegen::Source& source, runtime::Stages* stages) {
  poison();
  runtime::Clock clock;
  auto artifact = engine_->compiler->compile(source, runtime::compile_options(*engine_));
  stages->compile = clock.milliseconds();
  stages->origin = runtime::Stages::Origin::compiler;
  auto kernel = engine_->device->load(artifact);
  const plan::Plan& plan = planned_->plan;
  plan::Grid grid = plan::grid(plan.passes.at(0), plan.spec, bound_.shape);
  std::optional<runtime::ReportBuffer> report;
  if (plan.facts.checked) report.emplace(*engine_->device);
  auto packed =
      runtime::pack(*planned_, args(), bound_, grid.q_tiles, report ? report->memory() : nullptr);
  runtime::Clock launch;
  if (grid.blocks > 0)
    kernel->launch({grid.blocks, packed.params, packed.slots, packed.regions, {}});
  if (report) report->raise(plan.spec.pattern.tree(), {});
  stages->launch = launch.milliseconds();
  return collect();
}

std::string_view name_of(runtime::Stages::Origin origin) {
  constexpr std::string_view names[] = {"memory cache", "disk cache", "compiler"};
  return names[static_cast<int>(origin)];
}

namespace {

std::vector<std::pair<std::string_view, double>> rows_of(const runtime::Stages& stages) {
  return {{"plan", stages.plan},       {"generate", stages.generate}, {"disk", stages.disk},
          {"compile", stages.compile}, {"load", stages.load},         {"launch", stages.launch}};
}

}  // namespace

Json to_json(const runtime::Stages& stages) {
  Json json;
  for (auto [name, milliseconds] : rows_of(stages)) json[std::string(name)] = milliseconds;
  return json;
}

std::string to_text(const runtime::Stages& stages) {
  std::string text;
  for (auto [name, milliseconds] : rows_of(stages)) {
    if (milliseconds > 0)
      text += fmt::format("{}{} {:.3g} ms", text.empty() ? "" : ", ", name, milliseconds);
  }
  return text;
}

}  // namespace lacuna::tool
