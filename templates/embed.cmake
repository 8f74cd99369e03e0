# cmake -DROOT=dir -DNAMES=a,b -DOUT=file.cpp -P embed.cmake: the files as raw string literals.
string(REPLACE "," ";" NAMES "${NAMES}")
set(rows "")
foreach(name ${NAMES})
  file(READ ${ROOT}/${name} text)
  # A literal may hold 64 KiB; templates stay far below, and a longer one should fail here and not in the compiler.
  string(LENGTH "${text}" length)
  if(length GREATER 60000)
    message(FATAL_ERROR "${name} has ${length} bytes; a template stays under 60000")
  endif()
  string(APPEND rows "    {\"${name}\", R\"~~~(${text})~~~\"},\n")
endforeach()
file(WRITE ${OUT} "// Made by templates/embed.cmake.
#include \"compiler/codegen/source.h\"

namespace lacuna::codegen {
std::span<const TemplateFile> templates() {
  static constexpr TemplateFile files[] = {
${rows}  };
  return files;
}
}  // namespace lacuna::codegen
")
