#include "tests/tool/command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

extern char** environ;

namespace lacuna::test {
namespace {

std::vector<std::string> environment_with(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    std::string text = *entry;
    if (!variables.count(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (auto& [name, value] : variables) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

std::string read(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error(file + " cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

Ran run_program(const std::vector<std::string>& words,
                const std::map<std::string, std::string>& variables) {
  Folder folder;
  std::string out = folder / "out", err = folder / "err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT, 0600);
  auto arguments = words;
  auto environment = environment_with(variables);
  pid_t child = 0;
  int failed = posix_spawnp(&child, words[0].c_str(), &actions, nullptr, pointers(arguments).data(),
                            pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed) throw std::runtime_error(words[0] + " cannot be run");
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(out), read(err)};
}

Ran lacuna(std::vector<std::string> words, const std::map<std::string, std::string>& variables) {
  words.insert(words.begin(), LACUNA_COMMAND);
  return run_program(words, variables);
}

std::string device() {
  const char* chosen = std::getenv("LACUNA_DEVICE");
  return chosen && *chosen ? chosen : "host";
}

std::string python(const std::string& script) {
  for (const char* interpreter : {"python3", "/usr/bin/python3"}) {
    if (run_program({interpreter, "-c", "import numpy"}).code != 0) continue;
    Ran ran = run_program({interpreter, "-c", script});
    if (ran.code != 0) throw std::runtime_error("python: " + ran.err);
    return ran.out;
  }
  throw std::runtime_error("these tests need a python3 with numpy (apt-get install python3-numpy)");
}

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "lacuna-test-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
  path_ = name;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::write(const std::string& name, const std::string& text) const {
  std::ofstream(path_ / name, std::ios::binary) << text;
  return *this / name;
}

std::vector<std::string> Folder::files() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
    if (!entry.is_directory())
      names.push_back(std::filesystem::relative(entry.path(), path_).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lacuna::test
