#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::codegen {

/// One generated CUDA translation unit: what both compilers see, beside the embedded templates.
struct Source {
  std::string name;   ///< file name in diagnostics: "local_docs.cu"
  std::string entry;  ///< the extern "C" kernel
  std::string text;
  int threads = 0;       ///< per CTA
  int shared_bytes = 0;  ///< dynamic shared memory; the text static_asserts it
  int param_bytes = 0;   ///< sizeof(Params); the text static_asserts it
  bool operator==(const Source&) const = default;
};

/// A file of templates/, embedded at build time: name as #include'd ("machine/fma.cuh").
struct TemplateFile {
  std::string_view name, text;
};
std::span<const TemplateFile> templates();
/// Those that `text` includes, directly or not, in the order of templates(). Throws
/// Error{compilation} on an unknown name.
std::vector<TemplateFile> included_templates(std::string_view text);

}  // namespace lacuna::codegen
