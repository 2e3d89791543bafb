#include "site-agent/service/control_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "common/runtime/log.h"

namespace entente::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "control.sock";
constexpr std::size_t kLineBytesMax = 1 << 20;
constexpr timeval kTalkMax{2, 0};
constexpr int kWaiting = 16;
// A step of the loop takes milliseconds; a commit on a slow disk longer.
constexpr std::chrono::seconds kAnswerMax{10};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// A socket's path may have 107 bytes; a folder's own descriptor makes a short one of any.
sockaddr_un short_address(const Descriptor& folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = fmt::format("/proc/self/fd/{}/{}", folder.get(), kName);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

[[noreturn]] void fail(const fs::path& file) {
  throw std::system_error(errno, std::generic_category(), file.string());
}

void bound_waiting(int socket) {
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &kTalkMax, sizeof kTalkMax);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &kTalkMax, sizeof kTalkMax);
}

// Up to the first newline; nothing when there is none in time or it is too long.
std::optional<std::string> read_line(int socket) {
  std::string line;
  std::array<char, 4096> block{};
  while (line.size() <= kLineBytesMax) {
    const auto count = ::recv(socket, block.data(), block.size(), 0);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return std::nullopt;
    }
    line.append(block.data(), static_cast<std::size_t>(count));
    if (const auto end = line.find('\n'); end != std::string::npos) {
      line.resize(end);
      return line;
    }
  }
  return std::nullopt;
}

bool write_line(int socket, std::string line) {
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const auto count = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return false;
    }
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::string user_name(uid_t user) {
  std::array<char, 4096> text{};
  passwd entry{};
  passwd* found = nullptr;
  const int result = ::getpwuid_r(user, &entry, text.data(), text.size(), &found);
  return result == 0 && found != nullptr ? std::string(found->pw_name)
                                         : fmt::format("uid {}", user);
}

// Who is at the other end; nothing for anybody but the agent's user and root.
std::optional<std::string> trusted_peer(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
      (peer.uid != ::geteuid() && peer.uid != 0)) {
    return std::nullopt;
  }
  return user_name(peer.uid);
}

std::string as_json(const Refusal& refusal) {
  return nlohmann::json{
      {"error", refusal.code}, {"message", refusal.message}, {"hint", refusal.hint}}
      .dump();
}

Refusal no_answer() {
  return {"agent_unreachable", "the agent did not answer", "see its log; it may be stopping",
          Scope::site};
}

}  // namespace

fs::path control_socket_file(const fs::path& data_dir) { return data_dir / kName; }

ControlSocket::ControlSocket(const fs::path& data_dir, Inbox& inbox)
    : file_(control_socket_file(data_dir)), inbox_(inbox) {
  const Descriptor folder(::open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  fs::remove(file_);  // of an agent that was killed; the journal's lock says that none runs
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto address = short_address(folder);
  if (folder.get() < 0 || listener_ < 0 ||
      ::bind(listener_, generic(address), sizeof address) != 0 ||
      ::chmod(file_.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(listener_, kWaiting) != 0) {
    fail(file_);
  }
  thread_ = std::thread([this] { serve(); });
}

ControlSocket::~ControlSocket() {
  stop_.signal();
  thread_.join();
  ::close(listener_);
  std::error_code ignored;
  fs::remove(file_, ignored);
}

void ControlSocket::serve() {
  std::array<pollfd, 2> wanted{pollfd{stop_.fd(), POLLIN, 0}, pollfd{listener_, POLLIN, 0}};
  for (;;) {
    ::poll(wanted.data(), wanted.size(), -1);
    if (wanted[0].revents != 0) {
      return;
    }
    const Descriptor connection(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
    if (connection.get() >= 0) {
      answer(connection.get());
    }
  }
}

void ControlSocket::answer(int connection) {
  const auto who = trusted_peer(connection);
  if (!who) {
    log::warning("control_refused", "another user has tried to talk to the agent");
    return;
  }
  bound_waiting(connection);
  auto request = read_line(connection);
  if (!request) {
    return;
  }
  auto promise = std::make_shared<std::promise<std::string>>();
  auto answered = promise->get_future();
  if (!inbox_.push(LocalAsk{*std::move(request), *who, std::move(promise)})) {
    (void)write_line(connection, as_json(no_answer()));
    return;
  }
  const bool is_there = answered.wait_for(kAnswerMax) == std::future_status::ready;
  try {
    (void)write_line(connection, is_there ? answered.get() : as_json(no_answer()));
  } catch (const std::future_error&) {  // the loop has ended without an answer
    (void)write_line(connection, as_json(no_answer()));
  }
}

Expected<nlohmann::json> ask_agent(const fs::path& data_dir, const nlohmann::json& request) {
  const auto unreachable = [&](const std::string& cause) {
    return refuse(
        "agent_unreachable",
        fmt::format("no agent answers at {}: {}", control_socket_file(data_dir).string(), cause),
        "start it with: entente-agent serve --config FILE, and run this command as its "
        "user",
        Scope::site);
  };
  const Descriptor folder(::open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (folder.get() < 0 || socket.get() < 0) {
    return unreachable(std::strerror(errno));
  }
  const auto address = short_address(folder);
  if (::connect(socket.get(), generic(address), sizeof address) != 0) {
    return unreachable(std::strerror(errno));
  }
  constexpr timeval kPatience{15, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  if (!write_line(socket.get(), request.dump())) {
    return unreachable(std::strerror(errno));
  }
  const auto line = read_line(socket.get());
  auto answer = nlohmann::json::parse(line.value_or(""), nullptr, false);
  if (!answer.is_object()) {
    return unreachable("it hung up");
  }
  if (answer.contains("error")) {
    return refuse(answer.value("error", ""), answer.value("message", ""), answer.value("hint", ""),
                  Scope::site);
  }
  return answer;
}

}  // namespace entente::agent
