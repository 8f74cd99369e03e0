// All of fmt as one object, with which the programs of bundle.cmake need no libfmt.so: the machines that they are carried
// to have none.
#define FMT_HEADER_ONLY
#include <fmt/format.h>
