#include "tools/lacuna/progress.h"
#include "tools/lacuna/report.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace lacuna::tool {

Terminal Terminal::detect() {
  auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value && *value;
  };
  const char* term = std::getenv("TERM");
  bool dumb = term && std::string_view(term) == "dumb";
  Terminal terminal;
  terminal.colour = isatty(STDOUT_FILENO) && !dumb && !set("NO_COLOR");
  terminal.progress = isatty(STDERR_FILENO) && !dumb;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminal.columns = std::clamp<int>(size.ws_col, 40, 200);
  }
  return terminal;
}

void Progress::say(std::string_view what) const {
  if (!shown_) return;
  std::fprintf(stderr, "\r\033[K%.*s ...", static_cast<int>(what.size()), what.data());
  std::fflush(stderr);
}

void Progress::clear() const {
  if (shown_) std::fputs("\r\033[K", stderr);
}

}  // namespace lacuna::tool
