#pragma once
#include "bench/laboratory/study.h"
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace lacuna::bench {

/// One kernel, for reading.
std::string to_text(const Study& study);
/// The source lines that issue most, products apart.
std::string to_lines(const Study& study, int count);
nlohmann::ordered_json to_json(const Study& study);

/// A study's rows of the committed table, one in each part; nothing in them was timed.
std::vector<std::string> table_rows(const Study& study);
/// The line of it that names the tools: rows of other versions cannot be compared.
std::string tools_line(std::string_view nvrtc, std::string_view nvdisasm);
std::string to_table(std::vector<Study> studies, std::string_view nvrtc, std::string_view nvdisasm);

}  // namespace lacuna::bench
