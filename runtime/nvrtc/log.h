#pragma once
#include <string>
#include <string_view>

namespace lacuna::runtime::nvrtc {

/// What ptxas says of the one kernel of a program under -v; -1 where it says nothing.
struct Resources {
  int registers = -1;
  int spill_stores = -1, spill_loads = -1;  ///< bytes
};
Resources parse_resources(std::string_view log);

/// The log without the lines that differ from run to run (how long ptxas took), so that equal
/// sources give equal artifacts.
std::string without_times(std::string_view log);

/// PTX whose .file lines name files as the source does: NVRTC puts the working directory before
/// every name, so that equal sources gave different PTX in different folders.
std::string without_directory(std::string_view ptx, std::string_view directory);

}  // namespace lacuna::runtime::nvrtc
