#include "site-agent/service/trainer_process.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <utility>

#include "common/base/check.h"

namespace entente::agent {
namespace {

// A reply with many metrics fits; a stream that never ends a line does not fill the memory.
constexpr std::size_t kLineBytesMax = 1 << 20;

// Between the end of a trainer's stream and the end of its process.
constexpr std::chrono::milliseconds kLastBreath{500};

// Where libpq finds passwords, services and certificates of a dataset's database: a trainer has
// another HOME than its agent. A certificate that is named must be there, so one is named only
// where there is one.
void add_database_files(std::map<std::string, std::string>& environment) {
  struct File {
    const char* variable;
    const char* usual_place;
    bool must_exist;
  };
  constexpr std::array kFiles{File{"PGPASSFILE", ".pgpass", false},
                              File{"PGSERVICEFILE", ".pg_service.conf", false},
                              File{"PGSSLCERT", ".postgresql/postgresql.crt", true},
                              File{"PGSSLKEY", ".postgresql/postgresql.key", true},
                              File{"PGSSLROOTCERT", ".postgresql/root.crt", true},
                              File{"PGSSLCRL", ".postgresql/root.crl", true}};
  const char* home = std::getenv("HOME");
  for (const auto& [variable, usual_place, must_exist] : kFiles) {
    const char* named = std::getenv(variable);
    const auto file = std::filesystem::path(home == nullptr ? "" : home) / usual_place;
    std::error_code unreadable;
    if (named != nullptr) {
      environment[variable] = named;
    } else if (home != nullptr && (!must_exist || std::filesystem::exists(file, unreadable))) {
      environment[variable] = file.string();
    }
  }
}

ChildOptions options_for(const TrainerLaunch& launch) {
  const std::string threads = std::to_string(launch.threads);
  ChildOptions options;
  options.program = launch.program;
  options.environment = {
      {"PATH", "/usr/local/bin:/usr/bin:/bin"},
      {"HOME", launch.work_folder.string()},
      {"TMPDIR", launch.work_folder.string()},
      {"LANG", "C.UTF-8"},
      {"OMP_NUM_THREADS", threads},
      {"OPENBLAS_NUM_THREADS", threads},
      {"OMP_WAIT_POLICY", "passive"},
  };
  add_database_files(options.environment);
  options.pipe_stdin = true;
  options.pipe_stdout = true;
  options.log_file = launch.log_file;
  return options;
}

}  // namespace

TrainerProcess::TrainerProcess(const TrainerLaunch& launch)
    : child_(options_for(launch)), log_name_(launch.log_file.filename().string()) {}

void TrainerProcess::command(contract::CommandBody body) {
  ENTENTE_CHECK(!answer_due_);
  answer_due_ = true;
  outgoing_ += contract::encode(contract::Command{++last_id_, std::move(body)});
  write();
}

// An error is left to `read`, which sees the end of the stream and says how the process ended.
void TrainerProcess::write() {
  while (!outgoing_.empty()) {
    const ssize_t written = ::write(child_.stdin_fd(), outgoing_.data(), outgoing_.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      if (errno != EAGAIN) {
        outgoing_.clear();
      }
      return;
    }
    outgoing_.erase(0, static_cast<std::size_t>(written));
  }
}

TrainerProcess::Heard TrainerProcess::read() {
  Heard heard;
  std::array<char, 64 << 10> buffer;
  // A bounded number of reads at a time: one chatty trainer must not keep the loop from the others.
  for (int reads = 0; reads < 16; ++reads) {
    const ssize_t count = ::read(child_.stdout_fd(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0 && errno == EAGAIN) {
      return heard;
    }
    if (count <= 0) {
      heard.gone = death(heard);
      return heard;
    }
    incoming_.append(buffer.data(), static_cast<std::size_t>(count));
    if ((heard.gone = take_lines(heard))) {
      return heard;
    }
  }
  return heard;
}

std::optional<TaskFailure> TrainerProcess::take_lines(Heard& heard) {
  std::size_t begin = 0;
  for (std::size_t end = incoming_.find('\n'); end != std::string::npos;
       end = incoming_.find('\n', begin)) {
    auto reply = contract::parse_reply(std::string_view(incoming_).substr(begin, end - begin));
    begin = end + 1;
    if (!reply) {
      return violation(reply.error().message);
    }
    const bool cannot_read = reply->id == 0 && std::holds_alternative<contract::Error>(reply->body);
    if (!answer_due_ || (reply->id != last_id_ && !cannot_read)) {
      return violation("it answered a command that it was not given");
    }
    answer_due_ = std::holds_alternative<contract::Progress>(reply->body);
    heard.replies.push_back(std::move(reply->body));
  }
  incoming_.erase(0, begin);
  if (incoming_.size() > kLineBytesMax) {
    return violation(fmt::format("a line is longer than {} bytes", kLineBytesMax));
  }
  return std::nullopt;
}

TaskFailure TrainerProcess::violation(const std::string& what) {
  child_.send_signal(SIGKILL);
  return {{"contract_violated", fmt::format("the trainer broke its contract: {}", what),
           fmt::format("see {} at the site", log_name_), Scope::site},
          false};
}

TaskFailure TrainerProcess::death(Heard& heard) {
  const auto status = heard.exit = child_.wait_for(kLastBreath);
  if (!status) {
    return violation("it closed its stream and runs on");
  }
  return {
      {"trainer_died",
       fmt::format("the trainer {}{}", status->to_string(),
                   status->signal == SIGKILL ? ": the machine ran out of memory, most likely" : ""),
       fmt::format("see {} at the site", log_name_), Scope::site},
      true};
}

}  // namespace entente::agent
