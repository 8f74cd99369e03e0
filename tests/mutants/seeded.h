#pragma once
#include "runtime/compiler.h"
#include "tests/mutants/mutants.h"

#include <map>
#include <mutex>
#include <string>

namespace lacuna::tests {

/// A source with its templates in place of their #includes, each line marked as the template's own.
/// `mutant`, where given, is seeded; throws std::runtime_error where its text does not stand in its
/// template exactly once, or where the source does not include that template.
std::string expand(const std::string& source, const Mutant* mutant);

/// Another compiler, which compiles each source once.
class Once final : public runtime::Compiler {
 public:
  explicit Once(std::shared_ptr<const runtime::Compiler> inner) : inner_(std::move(inner)) {}
  std::string_view name() const override { return inner_->name(); }
  std::string identity() const override { return inner_->identity(); }
  std::string options(const codegen::Source& source,
                      const runtime::CompileOptions& options) const override {
    return inner_->options(source, options);
  }
  runtime::Artifact compile(const codegen::Source& source,
                            const runtime::CompileOptions& options) const override;

 private:
  std::shared_ptr<const runtime::Compiler> inner_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, runtime::Artifact> compiled_;
};

/// Another compiler, which is given expanded sources.
class Seeded final : public runtime::Compiler {
 public:
  Seeded(std::shared_ptr<const runtime::Compiler> inner, const Mutant* mutant)
      : inner_(std::move(inner)), mutant_(mutant) {}
  std::string_view name() const override { return inner_->name(); }
  std::string identity() const override { return inner_->identity(); }
  std::string options(const codegen::Source& source,
                      const runtime::CompileOptions& options) const override {
    return inner_->options(source, options);
  }
  runtime::Artifact compile(const codegen::Source& source,
                            const runtime::CompileOptions& options) const override;

 private:
  std::shared_ptr<const runtime::Compiler> inner_;
  const Mutant* mutant_;
};

}  // namespace lacuna::tests
