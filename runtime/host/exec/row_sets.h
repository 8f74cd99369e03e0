// The tables of rows as ops_*.cpp define them, one function for each instruction set they are
// compiled for.
#pragma once
#include "runtime/host/exec/row.h"

namespace lacuna::runtime::host {

#define LACUNA_ROW_SETS(isa) \
  namespace isa {            \
  Rows integer_rows();       \
  Rows float_rows();         \
  Rows compare_rows();       \
  Rows convert_rows();       \
  Rows half_rows();          \
  Rows memory_rows();        \
  Rows warp_rows();          \
  Rows matrix_rows();        \
  Rows async_rows();         \
  }
LACUNA_ROW_SETS(baseline)
LACUNA_ROW_SETS(avx2)
LACUNA_ROW_SETS(avx512)
#undef LACUNA_ROW_SETS
namespace baseline {
Rows atomic_rows();
Rows control_rows();
Rows mbarrier_rows();
}  // namespace baseline

/// By Isa.
using RowSet = Rows (*const*)();

#define LACUNA_ROW_SET(name)                                                           \
  inline constexpr Rows (*name##_set[])() = {baseline::name##_rows, avx2::name##_rows, \
                                             avx512::name##_rows};
LACUNA_ROW_SET(integer)
LACUNA_ROW_SET(float)
LACUNA_ROW_SET(compare)
LACUNA_ROW_SET(convert)
LACUNA_ROW_SET(half)
LACUNA_ROW_SET(memory)
LACUNA_ROW_SET(warp)
LACUNA_ROW_SET(matrix)
LACUNA_ROW_SET(async)
#undef LACUNA_ROW_SET
inline constexpr auto atomic_set = baseline::atomic_rows;
inline constexpr auto control_set = baseline::control_rows;
inline constexpr auto mbarrier_set = baseline::mbarrier_rows;

}  // namespace lacuna::runtime::host
