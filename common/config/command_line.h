// What a program says about a command line that it does not understand: the thing, the cause, the
// next step, like every other error.
//
//   app.failure_message(usage_error);
//
// Pure; called while the programs start.
#pragma once

#include <string>

namespace CLI {
class App;
class Error;
}  // namespace CLI

namespace entente {

// `error: there is no command "jobs"; did you mean "job"?` and a hint that names the right --help.
[[nodiscard]] std::string usage_error(const CLI::App* app, const CLI::Error& error);

}  // namespace entente
