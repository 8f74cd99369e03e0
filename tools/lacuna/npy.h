#pragma once
#include "tools/lacuna/array.h"

#include <string>
#include <string_view>

namespace lacuna::tool {

/// An array as numpy.save writes it, versions 1 to 3, C or Fortran order (which is put into C
/// order). Accepts little-endian f2 f4 i1 i2 i4 i8 u1 and bool, at most 6 axes. Throws
/// Error{argument}: one sentence with `name`, what is wrong and what is accepted. Never trusts a
/// length of the header.
Array parse_npy(std::string_view bytes, std::string_view name);

/// The bytes of a version 1 file. bf16, which numpy has no name for, is widened to f32.
std::string format_npy(const Array& array);

/// The same for a file; `what` is the flag it was given with ("--q").
Array read_npy(const std::string& file, std::string_view what);

}  // namespace lacuna::tool
