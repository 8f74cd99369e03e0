#pragma once
#include "tools/lacuna/report.h"

#include <string_view>

namespace lacuna::tool {

/// One line on stderr that says what is being waited for, gone when this is.
class Progress {
 public:
  explicit Progress(const Terminal& terminal) : shown_(terminal.progress) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void say(std::string_view what) const;
  void clear() const;

 private:
  bool shown_;
};

}  // namespace lacuna::tool
