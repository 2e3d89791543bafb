#include "broker/service/kit_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include "common/runtime/log.h"
#include "common/runtime/system_clock.h"

namespace entente::broker {
namespace {

constexpr std::chrono::milliseconds kLookEvery = std::chrono::seconds{3};

// What tells a file from the one that was there before.
using Trace = std::array<std::int64_t, 4>;

Trace trace_of(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    return {};
  }
  return {static_cast<std::int64_t>(info.st_ino), info.st_size, info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

std::vector<Trace> traces_of(const Kit& kit) {
  std::vector<Trace> traces{trace_of(kit.folder / "kit.toml"), trace_of(kit.ca_file),
                            trace_of(kit.certificate_file), trace_of(kit.key_file)};
  if (!kit.crl_file.empty()) {
    traces.push_back(trace_of(kit.crl_file));
  }
  return traces;
}

}  // namespace

KitWatch::KitWatch(Kit kit, HangupSignal& hangup, Renewed renewed)
    : kit_(std::move(kit)),
      hangup_(hangup),
      renewed_(std::move(renewed)),
      thread_([this] { run(); }) {}

KitWatch::~KitWatch() {
  stop_.signal();
  thread_.join();
}

void KitWatch::run() {
  auto known = traces_of(kit_);
  Refusal trouble;  // of the last try
  for (;;) {
    std::array items{pollfd{stop_.fd(), POLLIN, 0}, pollfd{hangup_.fd(), POLLIN, 0}};
    ::poll(items.data(), items.size(), static_cast<int>(kLookEvery.count()));
    if (items[0].revents != 0) {
      return;
    }
    const bool is_asked = hangup_.take();
    const auto now = traces_of(kit_);
    if (!is_asked && now == known && trouble.code.empty()) {
      continue;
    }
    const auto loaded = load();
    const Refusal why = loaded ? Refusal{} : loaded.error();
    if (!loaded && (is_asked || why != trouble)) {
      log::warning("kit_kept", "the changed kit is not used: " + why.message, {{"hint", why.hint}});
    }
    trouble = why;
    // What has changed meanwhile is looked at once more.
    known = traces_of(kit_) == now ? now : std::vector<Trace>();
  }
}

Expected<void> KitWatch::load() {
  try {
    auto kit = load_kit(kit_.folder, system_now().unix_ms);
    if (!kit) {
      return tl::unexpected(std::move(kit.error()));
    }
    if (kit->identity != kit_.identity) {
      return refuse(
          "kit_invalid",
          fmt::format("it is of {}, and this is {}", kit->identity.path(), kit_.identity.path()),
          "restart the broker to serve as another one", Scope::broker);
    }
    auto context = TlsContext::server(*kit);
    if (!context) {
      return tl::unexpected(std::move(context.error()));
    }
    kit_ = *std::move(kit);
    renewed_(*std::move(context));
    log::info("kit_renewed", "the kit was read again; sessions that it does not accept are closed",
              {{"valid_until", format_utc(kit_.valid_until_unix_ms)},
               {"revocation_list", kit_.crl_file.empty() ? "none" : kit_.crl_file.string()}});
    return {};
  } catch (const std::exception& error) {  // memory, OpenSSL
    return refuse("kit_unreadable", error.what(), {}, Scope::broker);
  }
}

}  // namespace entente::broker
