#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace lacuna::test {

/// What the fake libcuda.so.1 of tests/runtime/fake_cuda.cpp has seen; asking forgets the calls.
struct FakeCuda {
  std::vector<std::string> calls;  ///< "cuLaunchKernel f 3 1 1 ...", since the last question
  std::string params;              ///< the bytes of the last launch
  int retained, libraries, events;
  std::size_t allocations;
  std::size_t pushed;  ///< contexts that were pushed on the asking thread
};
extern "C" using FakeCudaFunction = FakeCuda();

}  // namespace lacuna::test
