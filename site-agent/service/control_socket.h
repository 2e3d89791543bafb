// How the site's people talk to the running agent: a unix socket in the agent's own folder.
//
//  - Nobody from outside: the folder is 0700, the socket 0600, and the kernel tells the user of
//    whoever connects (SO_PEERCRED): only the agent's own user and root are answered.
//  - One request and one answer a connection, each one line of JSON. Requests are answered one at a
//    time by the agent's loop; one that is not said within two seconds is hung up on.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>

#include "common/base/refusal.h"
#include "common/runtime/event_fd.h"
#include "site-agent/service/inbox.h"

namespace entente::agent {

[[nodiscard]] std::filesystem::path control_socket_file(const std::filesystem::path& data_dir);

// The agent's side: a thread that passes requests to the loop as LocalAsk.
class ControlSocket {
 public:
  // Throws std::system_error when the socket cannot be made. `inbox` outlives it.
  ControlSocket(const std::filesystem::path& data_dir, Inbox& inbox);
  // Close the inbox first: then nobody waits for an answer any more.
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

 private:
  void serve();
  void answer(int connection);

  const std::filesystem::path file_;
  Inbox& inbox_;
  int listener_ = -1;
  EventFd stop_;
  std::thread thread_;
};

// The people's side: sends the request to the agent that runs on this folder and returns its
// answer. Refuses with "agent_unreachable", or with what the agent refuses.
[[nodiscard]] Expected<nlohmann::json> ask_agent(const std::filesystem::path& data_dir,
                                                 const nlohmann::json& request);

}  // namespace entente::agent
