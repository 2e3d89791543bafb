// The shape of most commands: ask the broker one thing, print its answer or its refusal.
#pragma once

#include <nlohmann/json.hpp>
#include <utility>

#include "coordinator/broker_client.h"
#include "coordinator/json_views.h"
#include "coordinator/output.h"

namespace entente::cli {

// With --json prints the answer as to_json makes it, otherwise as `print` does.
template <class Answer, class Print>
ExitCode ask_and_print(const Options& options, msg::RequestBody request, Print print) {
  auto client = BrokerClient::connect(options);
  if (!client) {
    return print_refusal(options, client.error());
  }
  const auto answer = client->ask<Answer>(std::move(request));
  if (!answer) {
    return print_refusal(options, answer.error());
  }
  if (options.json) {
    print_json(to_json(*answer));
  } else {
    print(*answer);
  }
  return ExitCode::done;
}

}  // namespace entente::cli
