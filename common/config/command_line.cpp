#include "common/config/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "common/base/nearest.h"
#include "common/base/quote.h"

namespace entente {
namespace {

// The command that the words led to, and how a user writes it: "entente job submit".
struct Reached {
  const CLI::App* command;
  std::string words;
};

Reached reach(const CLI::App* app) {
  Reached reached{app, std::filesystem::path(app->get_name()).filename().string()};
  while (!reached.command->get_subcommands().empty()) {
    reached.command = reached.command->get_subcommands().front();
    reached.words += ' ' + reached.command->get_name();
  }
  return reached;
}

std::vector<std::string> commands_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* one : command.get_subcommands([](const CLI::App*) { return true; })) {
    if (!one->get_name().empty()) {  // an option group has none
      names.push_back(one->get_name());
    }
  }
  return names;
}

std::vector<std::string> options_of(const CLI::App& app, const CLI::App& command) {
  std::vector<std::string> names;
  for (const auto* holder : {&command, &app}) {
    for (const auto* option : holder->get_options()) {
      for (const auto& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
  }
  return names;
}

std::string cause(const CLI::App& app, const CLI::App& command, const CLI::Error& error) {
  const auto commands = commands_of(command);
  const auto left_over = app.remaining(true);
  const auto word = std::find_if(left_over.begin(), left_over.end(),
                                 [](const std::string& one) { return one.rfind('-', 0) != 0; });
  if (!commands.empty() && word != left_over.end()) {
    return fmt::format("there is no command {}{}", quote(*word), suggestion(*word, commands));
  }
  if (!left_over.empty()) {
    const auto meant = nearest(left_over.front(), options_of(app, command));
    return fmt::format("{} is not understood here{}", quote(left_over.front()),
                       meant ? fmt::format("; did you mean \"{}\"?", *meant) : std::string());
  }
  if (!commands.empty() && command.get_require_subcommand_min() > 0) {
    return "a command is missing" + suggestion("", commands);
  }
  return error.what();
}

}  // namespace

std::string usage_error(const CLI::App* app, const CLI::Error& error) {
  const auto [command, words] = reach(app);
  return fmt::format("error: {}\nhint: see {} --help\n", cause(*app, *command, error), words);
}

}  // namespace entente
