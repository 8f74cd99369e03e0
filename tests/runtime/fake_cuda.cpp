// A libcuda.so.1 without a GPU: two invented ones, every call noted, mistakes of the caller
// answered as the driver answers them. LACUNA_FAKE_CUDA holds switches, separated by commas:
//   no_device  driver=11080  sm=75  missing=<function>  fail=<function>:<error>
//   capturing  capture_elsewhere  current=own|other (what a framework left current on each thread)
#include "tests/runtime/fake_cuda.h"

#include "runtime/cuda/driver.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace lacuna::runtime::cuda {

struct ContextTag {
  const char* name;
  DeviceNumber device;
};
struct LibraryTag {
  std::string code;
};
struct KernelTag {
  std::string name;
};
struct EventTag {
  bool recorded = false;
};

namespace {

constexpr Result invalid_value{1}, invalid_device{101}, invalid_context{201}, no_binary{209},
    invalid_handle{400}, not_found{500};

ContextTag primary[2] = {{"primary0", 0}, {"primary1", 1}}, framework = {"framework0", 0};
thread_local std::vector<Context> pushed;

struct State {
  std::mutex mutex;
  std::vector<std::string> calls;
  std::string params;
  int retained = 0, libraries = 0, events = 0;
  std::map<Address, std::size_t> memory;
};
State& state() {
  static State* lives_on = new State;  // calls may come after static destruction
  return *lives_on;
}

std::string option(const std::string& name) {
  const char* all = std::getenv("LACUNA_FAKE_CUDA");
  std::istringstream list(all ? all : "");
  for (std::string one; std::getline(list, one, ',');) {
    if (one == name) return "yes";
    if (one.starts_with(name + "=")) return one.substr(name.size() + 1);
  }
  return "";
}

/// Notes the call; what it returns is to be returned where it is not success.
template <class... Words>
Result note(const char* name, const Words&... words) {
  std::ostringstream line;
  line << name;
  ((line << ' ' << words), ...);
  const std::lock_guard lock(state().mutex);
  state().calls.push_back(line.str());
  const std::string fail = option("fail"), prefix = std::string(name) + ":";
  return fail.starts_with(prefix) ? Result{std::stoi(fail.substr(prefix.size()))} : Result::success;
}

Context current() {
  if (!pushed.empty()) return pushed.back();
  const std::string left = option("current");
  return left == "own" ? &framework : left == "other" ? &primary[1] : nullptr;
}

#define NOTE(...) \
  if (const Result failed = note(__VA_ARGS__); failed != Result::success) return failed
#define NEED_CONTEXT \
  if (!current()) return invalid_context

namespace fake {

Result cuInit(unsigned) {
  NOTE("cuInit");
  return option("no_device").empty() ? Result::success : Result::no_device;
}
Result cuGetErrorName(Result result, const char** text) {
  static const std::map<int, const char*> names = {
      {1, "CUDA_ERROR_INVALID_VALUE"},       {2, "CUDA_ERROR_OUT_OF_MEMORY"},
      {100, "CUDA_ERROR_NO_DEVICE"},         {201, "CUDA_ERROR_INVALID_CONTEXT"},
      {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"}, {500, "CUDA_ERROR_NOT_FOUND"},
      {719, "CUDA_ERROR_LAUNCH_FAILED"}};
  const auto found = names.find(static_cast<int>(result));
  if (found == names.end()) return invalid_value;
  *text = found->second;
  return Result::success;
}
Result cuGetErrorString(Result result, const char** text) {
  if (result == Result{719}) *text = "unspecified launch failure";
  if (result == Result::no_device) *text = "no CUDA-capable device is detected";
  return *text ? Result::success : invalid_value;
}

Result cuDeviceGetCount(int* count) {
  NOTE("cuDeviceGetCount");
  *count = 2;
  return Result::success;
}
Result cuDeviceGet(DeviceNumber* device, int ordinal) {
  NOTE("cuDeviceGet", ordinal);
  *device = ordinal;
  return ordinal < 2 ? Result::success : invalid_device;
}
Result cuDeviceGetName(char* name, int size, DeviceNumber device) {
  NOTE("cuDeviceGetName", device);
  std::strncpy(name, device == 0 ? "Fake H200" : "Fake L4", static_cast<std::size_t>(size));
  return Result::success;
}
Result cuDeviceGetAttribute(int* value, DeviceAttribute attribute, DeviceNumber device) {
  NOTE("cuDeviceGetAttribute", static_cast<int>(attribute), device);
  const std::string chosen = option("sm");
  const int sm = !chosen.empty() ? std::stoi(chosen) : device == 0 ? 90 : 89;
  switch (static_cast<int>(attribute)) {
    case 16:
      *value = device == 0 ? 132 : 58;
      return Result::success;
    case 75:
      *value = sm / 10;
      return Result::success;
    case 76:
      *value = sm % 10;
      return Result::success;
    case 97:
      *value = device == 0 ? 227 * 1024 : 99 * 1024;
      return Result::success;
    default:
      return invalid_value;
  }
}
Result cuDeviceTotalMem(std::size_t* bytes, DeviceNumber device) {
  NOTE("cuDeviceTotalMem", device);
  *bytes = std::size_t{139} << 30;
  return Result::success;
}

Result cuDevicePrimaryCtxRetain(Context* context, DeviceNumber device) {
  NOTE("cuDevicePrimaryCtxRetain", device);
  ++state().retained;
  *context = &primary[device];
  return Result::success;
}
Result cuDevicePrimaryCtxRelease(DeviceNumber device) {
  NOTE("cuDevicePrimaryCtxRelease", device);
  --state().retained;
  return Result::success;
}
Result cuCtxGetCurrent(Context* context) {
  NOTE("cuCtxGetCurrent");
  *context = current();
  return Result::success;
}
Result cuCtxGetDevice(DeviceNumber* device) {
  NOTE("cuCtxGetDevice");
  NEED_CONTEXT;
  *device = current()->device;
  return Result::success;
}
Result cuCtxPushCurrent(Context context) {
  NOTE("cuCtxPushCurrent", context->name);
  pushed.push_back(context);
  return Result::success;
}
Result cuCtxPopCurrent(Context* context) {
  NOTE("cuCtxPopCurrent");
  if (pushed.empty()) return invalid_context;
  *context = pushed.back();
  pushed.pop_back();
  return Result::success;
}

Result cuLibraryLoadData(Library* library, const void* code, JitOption* options, void** values,
                         unsigned count, LibraryOption*, void**, unsigned) {
  NEED_CONTEXT;
  const std::string text(static_cast<const char*>(code));
  NOTE("cuLibraryLoadData", text);
  if (text == "bad") {
    for (unsigned i = 0; i < count; ++i) {
      if (options[i] == JitOption::error_log_buffer) {
        std::strcpy(static_cast<char*>(values[i]), "ptxas fatal: Unresolved extern");
      }
    }
    return no_binary;
  }
  *library = new LibraryTag{text};
  ++state().libraries;
  return Result::success;
}
Result cuLibraryUnload(Library library) {
  NOTE("cuLibraryUnload", library->code);
  delete library;
  --state().libraries;
  return Result::success;
}
Result cuLibraryGetKernel(KernelHandle* kernel, Library, const char* name) {
  NOTE("cuLibraryGetKernel", name);
  static std::map<std::string, KernelTag> kernels;
  if (std::string(name) == "absent") return not_found;
  const std::lock_guard lock(state().mutex);
  *kernel = &kernels.try_emplace(name, KernelTag{name}).first->second;
  return Result::success;
}
Result cuKernelGetFunction(Function* function, KernelHandle kernel) {
  NOTE("cuKernelGetFunction", kernel->name);
  NEED_CONTEXT;
  *function = reinterpret_cast<Function>(kernel);
  return Result::success;
}
Result cuKernelSetAttribute(FunctionAttribute attribute, int value, KernelHandle kernel,
                            DeviceNumber device) {
  NOTE("cuKernelSetAttribute", static_cast<int>(attribute), value, kernel->name, device);
  return Result::success;
}
Result cuLaunchKernel(Function function, unsigned x, unsigned y, unsigned z, unsigned block_x,
                      unsigned block_y, unsigned block_z, unsigned shared, StreamHandle stream,
                      void** params, void** extra) {
  NEED_CONTEXT;
  const auto* kernel = reinterpret_cast<KernelTag*>(function);
  NOTE("cuLaunchKernel", kernel->name, x, y, z, block_x, block_y, block_z, shared,
       reinterpret_cast<std::uintptr_t>(stream), current()->name);
  if (params || extra[0] != param_buffer_pointer || extra[2] != param_buffer_size || extra[4]) {
    return invalid_value;
  }
  const std::lock_guard lock(state().mutex);
  state().params.assign(static_cast<const char*>(extra[1]), *static_cast<std::size_t*>(extra[3]));
  return Result::success;
}

Result cuStreamIsCapturing(StreamHandle, CaptureStatus* status) {
  NOTE("cuStreamIsCapturing");
  NEED_CONTEXT;
  if (!option("capture_elsewhere").empty()) return Result::stream_capture_implicit;
  *status = option("capturing").empty() ? CaptureStatus::none : CaptureStatus::active;
  return Result::success;
}
Result cuStreamSynchronize(StreamHandle stream) {
  NOTE("cuStreamSynchronize", reinterpret_cast<std::uintptr_t>(stream));
  NEED_CONTEXT;
  return Result::success;
}
Result cuThreadExchangeStreamCaptureMode(CaptureMode* mode) {
  static thread_local CaptureMode now = CaptureMode::global;
  NOTE("cuThreadExchangeStreamCaptureMode", static_cast<int>(*mode));
  std::swap(*mode, now);
  return Result::success;
}
Result cuEventCreate(Event* event, unsigned) {
  NOTE("cuEventCreate");
  NEED_CONTEXT;
  *event = new EventTag;
  ++state().events;
  return Result::success;
}
Result cuEventRecord(Event event, StreamHandle) {
  NOTE("cuEventRecord");
  event->recorded = true;
  return Result::success;
}
Result cuEventSynchronize(Event event) {
  NOTE("cuEventSynchronize");
  return event->recorded ? Result::success : invalid_handle;
}
Result cuEventElapsedTime(float* milliseconds, Event start, Event stop) {
  NOTE("cuEventElapsedTime");
  *milliseconds = 1.5f;
  return start != stop && start->recorded && stop->recorded ? Result::success : invalid_handle;
}
Result cuEventDestroy(Event event) {
  NOTE("cuEventDestroy");
  delete event;
  --state().events;
  return Result::success;
}

Result cuMemAlloc(Address* memory, std::size_t bytes) {
  NOTE("cuMemAlloc", bytes);
  NEED_CONTEXT;
  if (bytes == 0) return invalid_value;
  const std::lock_guard lock(state().mutex);
  *memory = reinterpret_cast<Address>(std::malloc(bytes));
  state().memory[*memory] = bytes;
  return Result::success;
}
Result cuMemFree(Address memory) {
  NOTE("cuMemFree");
  NEED_CONTEXT;
  const std::lock_guard lock(state().mutex);
  if (state().memory.erase(memory) == 0) return invalid_value;
  std::free(reinterpret_cast<void*>(memory));
  return Result::success;
}
Result cuMemAllocAsync(Address* memory, std::size_t bytes, StreamHandle stream) {
  NOTE("cuMemAllocAsync", bytes, reinterpret_cast<std::uintptr_t>(stream));
  NEED_CONTEXT;
  if (bytes == 0) return invalid_value;
  const std::lock_guard lock(state().mutex);
  *memory = reinterpret_cast<Address>(std::malloc(bytes));
  state().memory[*memory] = bytes;
  return Result::success;
}
Result cuMemFreeAsync(Address memory, StreamHandle stream) {
  NOTE("cuMemFreeAsync", reinterpret_cast<std::uintptr_t>(stream));
  NEED_CONTEXT;
  const std::lock_guard lock(state().mutex);
  if (state().memory.erase(memory) == 0) return invalid_value;
  std::free(reinterpret_cast<void*>(memory));
  return Result::success;
}
Result cuMemsetD8Async(Address memory, unsigned char value, std::size_t bytes,
                       StreamHandle stream) {
  NOTE("cuMemsetD8Async", bytes, reinterpret_cast<std::uintptr_t>(stream));
  NEED_CONTEXT;
  std::memset(reinterpret_cast<void*>(memory), value, bytes);
  return Result::success;
}
Result cuMemcpyHtoD(Address to, const void* from, std::size_t bytes) {
  NOTE("cuMemcpyHtoD", bytes);
  NEED_CONTEXT;
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return Result::success;
}
Result cuMemcpyDtoH(void* to, Address from, std::size_t bytes) {
  NOTE("cuMemcpyDtoH", bytes);
  NEED_CONTEXT;
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return Result::success;
}

}  // namespace fake

void* find(const std::string& name) {
#define LACUNA_DRIVER(function, ...)                                                 \
  static_assert(std::is_same_v<decltype(&fake::function), Result (*)(__VA_ARGS__)>); \
  if (name == #function) return reinterpret_cast<void*>(&fake::function);
#include "runtime/cuda/driver.def"
#undef LACUNA_DRIVER
  return nullptr;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) Result cuDriverGetVersion(int* version) {
  const std::string chosen = option("driver");
  *version = chosen.empty() ? 13000 : std::stoi(chosen);
  return Result::success;
}

extern "C" __attribute__((visibility("default"))) Result cuGetProcAddress_v2(
    const char* name, void** address, int version, std::uint64_t flags, int* status) {
  if (version != 12000 || flags != 0 || !status) return invalid_value;
  *address = option("missing") == name ? nullptr : find(name);
  *status = *address ? 0 : 1;
  return *address ? Result::success : not_found;
}

}  // namespace lacuna::runtime::cuda

extern "C" __attribute__((visibility("default"))) lacuna::test::FakeCuda fake_cuda() {
  using namespace lacuna::runtime::cuda;
  State& s = state();
  const std::lock_guard lock(s.mutex);
  lacuna::test::FakeCuda seen{s.calls,  s.params,        s.retained,   s.libraries,
                              s.events, s.memory.size(), pushed.size()};
  s.calls.clear();
  s.params.clear();
  return seen;
}
