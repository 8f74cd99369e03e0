#pragma once
#include "runtime/host/ptx/reader.h"

namespace lacuna::runtime::host::ptx {

/// Reads a function's body into `function`; the current token is its '{'.
void parse_body(Reader& reader, Function& function);

}  // namespace lacuna::runtime::host::ptx
