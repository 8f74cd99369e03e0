#include "bench/laboratory/instruction_class.h"

#include <algorithm>
#include <numeric>

namespace lacuna::bench {
namespace {

struct Known {
  std::string_view name;
  Class kind;
};

// By the part before the first dot.
constexpr Known sass[] = {
    {"HMMA", Class::product},   {"IMMA", Class::product},     {"DMMA", Class::product},
    {"LDSM", Class::matrix},    {"MOVM", Class::matrix},      {"STSM", Class::matrix},
    {"LDGSTS", Class::async},   {"LDGDEPBAR", Class::async},  {"DEPBAR", Class::async},
    {"ARRIVES", Class::async},  {"LDS", Class::shared},       {"STS", Class::shared},
    {"ATOMS", Class::shared},   {"LDG", Class::memory},       {"STG", Class::memory},
    {"LD", Class::memory},      {"ST", Class::memory},        {"LDL", Class::memory},
    {"STL", Class::memory},     {"LDC", Class::memory},       {"ATOM", Class::memory},
    {"ATOMG", Class::memory},   {"RED", Class::memory},       {"CCTL", Class::memory},
    {"MUFU", Class::exp},       {"FFMA", Class::real},        {"FADD", Class::real},
    {"FMUL", Class::real},      {"FMNMX", Class::max},        {"FSETP", Class::select},
    {"FSEL", Class::select},    {"FSET", Class::select},      {"FCHK", Class::select},
    {"F2F", Class::convert},    {"F2FP", Class::convert},     {"F2I", Class::convert},
    {"I2F", Class::convert},    {"I2FP", Class::convert},     {"FRND", Class::convert},
    {"HADD2", Class::half},     {"HMUL2", Class::half},       {"HFMA2", Class::half},
    {"HMNMX2", Class::half},    {"HSET2", Class::half},       {"HSETP2", Class::half},
    {"IADD3", Class::integer},  {"IADD", Class::integer},     {"IMAD", Class::integer},
    {"VIADD", Class::integer},  {"LEA", Class::integer},      {"LOP3", Class::integer},
    {"SHF", Class::integer},    {"ISETP", Class::integer},    {"IMNMX", Class::integer},
    {"VIMNMX", Class::integer}, {"IABS", Class::integer},     {"VABSDIFF", Class::integer},
    {"SEL", Class::integer},    {"PRMT", Class::integer},     {"POPC", Class::integer},
    {"FLO", Class::integer},    {"BREV", Class::integer},     {"BMSK", Class::integer},
    {"SGXT", Class::integer},   {"PLOP3", Class::integer},    {"P2R", Class::integer},
    {"R2P", Class::integer},    {"IDP", Class::integer},      {"MOV", Class::move},
    {"CS2R", Class::move},      {"S2R", Class::move},         {"S2UR", Class::move},
    {"R2UR", Class::move},      {"SHFL", Class::exchange},    {"VOTE", Class::exchange},
    {"REDUX", Class::exchange}, {"MATCH", Class::exchange},   {"BAR", Class::barrier},
    {"MEMBAR", Class::barrier}, {"ERRBAR", Class::barrier},   {"BRA", Class::branch},
    {"BRX", Class::branch},     {"BRXU", Class::branch},      {"JMP", Class::branch},
    {"BSSY", Class::branch},    {"BSYNC", Class::branch},     {"BREAK", Class::branch},
    {"BMOV", Class::branch},    {"WARPSYNC", Class::branch},  {"EXIT", Class::branch},
    {"CALL", Class::branch},    {"RET", Class::branch},       {"NOP", Class::branch},
    {"YIELD", Class::branch},   {"NANOSLEEP", Class::branch},
};

constexpr Known ptx[] = {
    {"mma", Class::product},      {"ldmatrix", Class::matrix},
    {"movmatrix", Class::matrix}, {"cp", Class::async},
    {"ex2", Class::exp},          {"lg2", Class::exp},
    {"rcp", Class::exp},          {"sqrt", Class::exp},
    {"rsqrt", Class::exp},        {"sin", Class::exp},
    {"cos", Class::exp},          {"tanh", Class::exp},
    {"cvt", Class::convert},      {"cvta", Class::move},
    {"mov", Class::move},         {"shfl", Class::exchange},
    {"vote", Class::exchange},    {"match", Class::exchange},
    {"redux", Class::exchange},   {"activemask", Class::exchange},
    {"bar", Class::barrier},      {"barrier", Class::barrier},
    {"membar", Class::barrier},   {"fence", Class::barrier},
    {"bra", Class::branch},       {"brx", Class::branch},
    {"ret", Class::branch},       {"exit", Class::branch},
    {"call", Class::branch},      {"prefetch", Class::memory},
    {"prefetchu", Class::memory},
};

bool has_part(std::string_view opcode, std::string_view part) {
  for (std::size_t at = 0; at != opcode.npos;) {
    const std::size_t end = opcode.find('.', at);
    const std::string_view word = opcode.substr(at, end == opcode.npos ? end : end - at);
    if (word == part) return true;
    at = end == opcode.npos ? end : end + 1;
  }
  return false;
}

template <std::size_t n>
const Known* find(const Known (&table)[n], std::string_view name) {
  const auto found =
      std::find_if(std::begin(table), std::end(table), [&](auto& row) { return row.name == name; });
  return found == std::end(table) ? nullptr : &*found;
}

bool is_memory(std::string_view name) {
  return name == "ld" || name == "st" || name == "atom" || name == "red";
}

/// What takes any type: the type that the opcode ends with decides.
Class class_by_type(std::string_view name, std::string_view opcode) {
  const bool real = opcode.ends_with("f32") || opcode.ends_with("f64");
  const bool half = opcode.ends_with("f16") || opcode.ends_with("f16x2") ||
                    opcode.ends_with("bf16") || opcode.ends_with("bf16x2");
  if (name == "setp" || name == "selp" || name == "set" || name == "testp")
    return real ? Class::select : half ? Class::half : Class::integer;
  if (half) return Class::half;
  if (!real) return Class::integer;
  if (name == "min" || name == "max") return Class::max;
  return name == "div" ? Class::exp : Class::real;
}

}  // namespace

std::string_view name_of(Class kind) {
  constexpr std::string_view names[class_count] = {
      "product", "ldmatrix", "async copy", "shared",  "memory", "exp",
      "f32",     "max",      "select",     "convert", "half",   "integer",
      "uniform", "move",     "exchange",   "barrier", "branch", "other"};
  return names[static_cast<int>(kind)];
}

Class class_of_sass(std::string_view opcode) {
  if (opcode.starts_with("IMAD.MOV")) return Class::move;
  if (opcode.starts_with("HADD2.F32")) return Class::convert;  // f16 to f32
  const std::string_view name = opcode.substr(0, opcode.find('.'));
  if (const Known* known = find(sass, name)) return known->kind;
  return name.starts_with("U") ? Class::uniform : Class::other;
}

Class class_of_ptx(std::string_view opcode) {
  const std::string_view name = opcode.substr(0, opcode.find('.'));
  if (is_memory(name)) {
    if (has_part(opcode, "param")) return Class::move;
    return opcode.find(".shared") != opcode.npos ? Class::shared : Class::memory;
  }
  if (const Known* known = find(ptx, name)) return known->kind;
  return class_by_type(name, opcode);
}

double Mix::total() const {
  return std::accumulate(of.begin(), of.end(), 0.0);
}

double Mix::softmax() const {
  return std::accumulate(of.begin() + first_class_of_softmax, of.end(), 0.0);
}

}  // namespace lacuna::bench
