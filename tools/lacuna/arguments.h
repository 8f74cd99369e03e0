#pragma once
#include "lacuna/engine.hpp"

#include "compiler/ir/pattern.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lacuna::tool {

/// --shape B=1,H=4,G=2,Nq=67,Nk=131,D=64,Dv=64: B, H default to 1, G to H, D to 64, Dv to D, Nk to
/// Nq; N sets both lengths. Throws Error{argument}, as everything here does, naming the flag and
/// what it takes.
struct Extents {
  Shape shape;
  int head_dim = 64, value_dim = 64;
  bool has_rows = false, has_batch = false;  ///< Nq, B was given
};
Extents parse_shape(std::string_view text);
/// The same where only D and Dv are needed: a text without lengths is taken, and so is none.
Extents parse_extents(std::string_view text);

struct Named {
  std::string name, value;
};
/// "NAME=VALUE", each name once.
std::vector<Named> parse_named(std::string_view flag, const std::vector<std::string>& texts);

std::optional<std::int64_t> parse_integer(std::string_view text);
float parse_float(std::string_view flag, std::string_view text);
DType parse_dtype(std::string_view text);            ///< f16, bf16 or f32
DeviceKind parse_device(std::string_view text);      ///< auto, host or cuda
CompilerKind parse_compiler(std::string_view text);  ///< auto, nvrtc or llvm
/// `text` as a value of `type`; `what` is "param 'reach'".
Literal parse_literal(std::string_view what, ir::Type type, std::string_view text);
std::string print_literal(const Literal& value);

struct ParamValue {
  std::string name;
  Literal value;
};
/// Every param of the pattern with the value given or its default, in the pattern's order. An
/// unknown, ill-typed or missing one is an error with the nearest name, or with the flag that would
/// bind it.
std::vector<ParamValue> bind_params(const ir::Pattern& pattern,
                                    const std::vector<std::string>& texts);

/// The one of `names` that is `name`; throws with the nearest name and all of them.
std::size_t choose(std::string_view flag, std::string_view name,
                   const std::vector<std::string_view>& names);

}  // namespace lacuna::tool
