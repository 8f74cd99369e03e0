// Our declarations of the driver against NVIDIA's, where a cuda.h exists.
#include "runtime/cuda/driver.h"
#include "tests/catch.h"

#include <type_traits>

#ifdef LACUNA_CUDA_H
#include LACUNA_CUDA_H

namespace lacuna::runtime::cuda {
namespace {

template <class Ours, class Theirs>
constexpr bool same_value() {
  if constexpr (std::is_pointer_v<Ours> && std::is_pointer_v<Theirs>) {
    using Mine = std::remove_pointer_t<Ours>;
    using His = std::remove_pointer_t<Theirs>;
    constexpr bool opaque = std::is_class_v<Mine> && std::is_class_v<His>;
    constexpr bool untyped = std::is_void_v<Mine> && std::is_void_v<His>;
    if (std::is_const_v<Mine> != std::is_const_v<His>) return false;
    if constexpr (opaque || untyped)
      return true;
    else
      return same_value<std::remove_const_t<Mine>, std::remove_const_t<His>>();
  } else if constexpr (std::is_class_v<Ours> || std::is_void_v<Ours> || std::is_pointer_v<Ours> ||
                       std::is_class_v<Theirs> || std::is_void_v<Theirs> ||
                       std::is_pointer_v<Theirs>) {
    return false;
  } else {
    return sizeof(Ours) == sizeof(Theirs) && std::is_enum_v<Ours> == std::is_enum_v<Theirs> &&
           std::is_floating_point_v<Ours> == std::is_floating_point_v<Theirs>;
  }
}

template <class Ours, class Theirs>
struct SameFunction : std::false_type {};
template <class R, class... A, class S, class... B>
requires(sizeof...(A) == sizeof...(B)) struct SameFunction<R(A...), S(B...)>
    : std::bool_constant<same_value<R, S>() && (same_value<A, B>() && ...)> {
};

static_assert(SameFunction<int(float*), int(float*)>::value);
static_assert(!SameFunction<int(float*), int(int*)>::value, "the comparison can fail");
static_assert(!SameFunction<int(const float*), int(float*)>::value, "the comparison can fail");
static_assert(!SameFunction<int(unsigned), int(std::size_t)>::value, "the comparison can fail");

// cuda.h renames functions whose parameters changed, cuMemAlloc to cuMemAlloc_v2: the macro makes
// ::name the version that cuGetProcAddress gives for 12.0.
#define LACUNA_DRIVER(name, ...) \
  static_assert(SameFunction<Result(__VA_ARGS__), decltype(::name)>::value, #name);
#include "runtime/cuda/driver.def"
#undef LACUNA_DRIVER

template <class Ours>
constexpr bool is(Ours ours, int theirs) {
  return static_cast<int>(ours) == theirs;
}
static_assert(is(Result::success, CUDA_SUCCESS));
static_assert(is(Result::out_of_memory, CUDA_ERROR_OUT_OF_MEMORY));
static_assert(is(Result::not_initialized, CUDA_ERROR_NOT_INITIALIZED));
static_assert(is(Result::no_device, CUDA_ERROR_NO_DEVICE));
static_assert(is(Result::unsupported_ptx_version, CUDA_ERROR_UNSUPPORTED_PTX_VERSION));
static_assert(is(Result::stream_capture_implicit, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT));
static_assert(is(DeviceAttribute::multiprocessor_count, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT));
static_assert(is(DeviceAttribute::compute_capability_major,
                 CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR));
static_assert(is(DeviceAttribute::compute_capability_minor,
                 CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR));
static_assert(is(DeviceAttribute::max_shared_memory_per_block_optin,
                 CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
static_assert(is(FunctionAttribute::max_dynamic_shared_size_bytes,
                 CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES));
static_assert(is(JitOption::error_log_buffer, CU_JIT_ERROR_LOG_BUFFER));
static_assert(is(JitOption::error_log_buffer_size_bytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES));
static_assert(is(CaptureStatus::none, CU_STREAM_CAPTURE_STATUS_NONE));
static_assert(is(CaptureStatus::active, CU_STREAM_CAPTURE_STATUS_ACTIVE));
static_assert(is(CaptureStatus::invalidated, CU_STREAM_CAPTURE_STATUS_INVALIDATED));
static_assert(is(CaptureMode::global, CU_STREAM_CAPTURE_MODE_GLOBAL));
static_assert(is(CaptureMode::thread_local_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
static_assert(is(CaptureMode::relaxed, CU_STREAM_CAPTURE_MODE_RELAXED));
static_assert(CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT == 1 &&
              CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT == 2);

TEST_CASE("cuda abi: our declarations are those of " LACUNA_CUDA_H) {
  CHECK(param_end == CU_LAUNCH_PARAM_END);
  CHECK(param_buffer_pointer == CU_LAUNCH_PARAM_BUFFER_POINTER);
  CHECK(param_buffer_size == CU_LAUNCH_PARAM_BUFFER_SIZE);
}

}  // namespace
}  // namespace lacuna::runtime::cuda

#else

TEST_CASE("cuda abi: not compared") {
  WARN("skipped: no cuda.h was found when this was configured (cmake -D LACUNA_CUDA_H=<path>)");
}

#endif
