// The doors of lacuna.h: every function catches everything, and turns it into a status and this
// thread's text.
#include "lacuna/engine.hpp"
#include "lacuna/lacuna.h"
#include "lacuna/pattern.hpp"

#include "runtime/c_convert.h"
#include "runtime/engine.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>

struct lacuna_engine {
  lacuna::Engine engine;
};
struct lacuna_pattern {
  lacuna::Pattern pattern;
};
struct lacuna_program {
  lacuna::Program program;
};

namespace lacuna::runtime {
namespace {

struct Failure {
  std::string text, log;
};
Failure& last_failure() {
  thread_local Failure failure;
  return failure;
}

lacuna_status fail(lacuna_status status, const char* text, const char* log = "") noexcept {
  try {
    last_failure() = {text, log};
  } catch (...) {  // no memory for the text: the status alone has to do
    last_failure().text.clear();
    last_failure().log.clear();
  }
  return status;
}

template <typename Body>
lacuna_status guarded(Body&& body) noexcept {
  try {
    body();
    return LACUNA_OK;
  } catch (const Error& error) {
    return fail(static_cast<lacuna_status>(1 + static_cast<int>(error.kind())), error.what(),
                error.log().c_str());
  } catch (const std::bad_alloc&) {
    return fail(LACUNA_ERROR_INTERNAL, "out of memory");
  } catch (const std::exception& error) {
    return fail(LACUNA_ERROR_INTERNAL, error.what());
  } catch (...) {
    return fail(LACUNA_ERROR_INTERNAL,
                "something that is not an exception of this library was thrown");
  }
}

/// Gives what `make` returns through `out`, which is null or 0 where it throws.
template <typename T, typename Make>
lacuna_status give(T* out, const char* name, Make&& make) noexcept {
  return guarded([&] {
    T& given = *required(out, name);
    given = T{};
    given = make();
  });
}

/// The caller's, to be freed with lacuna_string_free.
char* copy_of(const std::string& text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (!copy) throw std::bad_alloc();
  return static_cast<char*>(std::memcpy(copy, text.c_str(), text.size() + 1));
}

std::string devices() {
  std::string lines;
  CudaProbe probe = probe_cuda();
  for (std::size_t i = 0; probe.problem.empty() && i < probe.gpus.size(); ++i) {
    lines += fmt::format("cuda:{} {} {}\n", i, probe.gpus[i].name, probe.gpus[i].arch.name());
  }
  return lines + open_host(EngineOptions::from_environment().threads)->description() + "\n";
}

const Device& device_of(const lacuna_engine* engine) {
  return *required(engine, "engine")->engine.state().device;
}

}  // namespace
}  // namespace lacuna::runtime

using namespace lacuna;
using namespace lacuna::runtime;

const char* lacuna_version(void) {
  return LACUNA_VERSION;
}
const char* lacuna_last_error(void) {
  return last_failure().text.c_str();
}
const char* lacuna_last_log(void) {
  return last_failure().log.c_str();
}

lacuna_status lacuna_devices(char** text) {
  return give(text, "text", [] { return copy_of(devices()); });
}

void lacuna_string_free(char* text) {
  std::free(text);
}

lacuna_status lacuna_engine_create(const lacuna_engine_options* options, lacuna_engine** engine) {
  return give(engine, "engine", [&] { return new lacuna_engine{Engine(options_of(options))}; });
}

void lacuna_engine_destroy(lacuna_engine* engine) {
  delete engine;
}

lacuna_status lacuna_engine_description(const lacuna_engine* engine, char** text) {
  return give(text, "text",
              [&] { return copy_of(required(engine, "engine")->engine.description()); });
}

lacuna_status lacuna_engine_device(const lacuna_engine* engine, int32_t* kind) {
  return give(kind, "kind", [&] { return static_cast<int32_t>(device_of(engine).kind()); });
}

lacuna_status lacuna_pattern_parse(const char* text, const char* origin, const char* attention,
                                   lacuna_pattern** pattern) {
  return give(pattern, "pattern", [&] {
    return new lacuna_pattern{Pattern::parse(required(text, "text"), origin ? origin : "<text>",
                                             attention ? attention : "")};
  });
}

void lacuna_pattern_destroy(lacuna_pattern* pattern) {
  delete pattern;
}

lacuna_status lacuna_pattern_is_entmax(const lacuna_pattern* pattern, int32_t* is_entmax) {
  return give(is_entmax, "is_entmax", [&] {
    return static_cast<int32_t>(required(pattern, "pattern")->pattern.is_entmax());
  });
}

lacuna_status lacuna_program_create(const lacuna_engine* engine, const lacuna_pattern* pattern,
                                    const lacuna_spec* spec, lacuna_program** program) {
  return give(program, "program", [&] {
    const Engine& on = required(engine, "engine")->engine;
    return new lacuna_program{on.program(spec_of(spec, required(pattern, "pattern")->pattern))};
  });
}

void lacuna_program_destroy(lacuna_program* program) {
  delete program;
}

lacuna_status lacuna_program_prepare(const lacuna_program* program) {
  return guarded([&] { required(program, "program")->program.prepare(); });
}

lacuna_status lacuna_program_workspace(const lacuna_program* program, const lacuna_shape* shape,
                                       size_t* bytes) {
  return give(bytes, "bytes", [&] {
    return required(program, "program")->program.workspace(shape_of(*required(shape, "shape")));
  });
}

lacuna_status lacuna_program_explain(const lacuna_program* program, const lacuna_shape* shape,
                                     char** text) {
  return give(text, "text", [&] {
    std::optional<Shape> given;
    if (shape) given = shape_of(*shape);
    return copy_of(required(program, "program")->program.explain(given));
  });
}

lacuna_status lacuna_forward(const lacuna_program* program, const lacuna_args* args, void* stream) {
  return guarded([&] {
    BoundArgs bound(args);
    required(program, "program")->program.forward(bound.args(), Stream{stream});
  });
}

lacuna_status lacuna_tiles_bytes(const lacuna_program* program, const lacuna_shape* shape,
                                 size_t* bytes) {
  return give(bytes, "bytes", [&] {
    return required(program, "program")->program.tiles_bytes(shape_of(*required(shape, "shape")));
  });
}

lacuna_status lacuna_tiles_create(const lacuna_program* program, const lacuna_args* args,
                                  const lacuna_tensor* memory, void* stream, lacuna_tiles** tiles) {
  return give(tiles, "tiles", [&] {
    const BoundArgs bound(args);
    const TensorView given = memory ? view_of(*memory, "memory") : TensorView{};
    return new lacuna_tiles{
        required(program, "program")->program.tiles(bound.args(), given, Stream{stream})};
  });
}

void lacuna_tiles_destroy(lacuna_tiles* tiles) {
  delete tiles;
}

lacuna_status lacuna_tiles_refresh(lacuna_tiles* tiles, const lacuna_args* args, void* stream) {
  return guarded([&] {
    const BoundArgs bound(args);
    required(tiles, "tiles")->tiles.refresh(bound.args(), Stream{stream});
  });
}

lacuna_status lacuna_tiles_read(const lacuna_tiles* tiles, void* stream, lacuna_tile_rows** rows) {
  return give(rows, "rows", [&] {
    return new FlatTileRows(required(tiles, "tiles")->tiles.read(Stream{stream}));
  });
}

void lacuna_tile_rows_free(lacuna_tile_rows* rows) {
  delete static_cast<FlatTileRows*>(rows);
}

lacuna_status lacuna_sparsity_bytes(const lacuna_program* program, const lacuna_shape* shape,
                                    size_t* bytes) {
  return give(bytes, "bytes", [&] {
    return required(program, "program")
        ->program.sparsity_bytes(shape_of(*required(shape, "shape")));
  });
}

lacuna_status lacuna_sparsity_create(const lacuna_program* program, const lacuna_shape* shape,
                                     lacuna_sparsity** sparsity) {
  return give(sparsity, "sparsity", [&] {
    return new lacuna_sparsity{
        required(program, "program")->program.sparsity(shape_of(*required(shape, "shape")))};
  });
}

void lacuna_sparsity_destroy(lacuna_sparsity* sparsity) {
  delete sparsity;
}

lacuna_status lacuna_sparsity_read(const lacuna_sparsity* sparsity, void* stream,
                                   lacuna_sparsity_rows** rows) {
  return give(rows, "rows", [&] {
    return new FlatSparsityRows(required(sparsity, "sparsity")->sparsity.read(Stream{stream}));
  });
}

void lacuna_sparsity_rows_free(lacuna_sparsity_rows* rows) {
  delete static_cast<FlatSparsityRows*>(rows);
}

lacuna_status lacuna_memory_allocate(const lacuna_engine* engine, size_t bytes, void** memory) {
  return give(memory, "memory", [&] { return device_of(engine).allocate(bytes); });
}

void lacuna_memory_release(const lacuna_engine* engine, void* memory) {
  if (engine && memory) device_of(engine).release(memory);
}

lacuna_status lacuna_memory_write(const lacuna_engine* engine, void* to, const void* from,
                                  size_t bytes) {
  return guarded([&] {
    const Device& device = device_of(engine);
    if (bytes == 0) return;
    device.upload(required(to, "to"), required(from, "from"), bytes);
    device.synchronize({});
  });
}

lacuna_status lacuna_memory_read(const lacuna_engine* engine, void* to, const void* from,
                                 size_t bytes) {
  return guarded([&] {
    const Device& device = device_of(engine);
    if (bytes == 0) return;
    device.synchronize({});
    device.download(required(to, "to"), required(from, "from"), bytes);
  });
}
