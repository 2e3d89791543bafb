#include "site-agent/service/transfers.h"

#include <fmt/format.h>

#include <exception>
#include <optional>

#include "common/runtime/failpoint.h"
#include "common/runtime/system_clock.h"

namespace entente::agent {
namespace {

// An upload and a download can go on together; more would only share the line.
constexpr std::size_t kTransfersMax = 2;

// Progress reaches the broker once a second; the loop need not be woken for every chunk.
constexpr Millis kProgressEvery{250};

// Passes progress on, but not more often than that. A full inbox may lose one: the next follows.
template <class Make>
TransferProgress paced(Inbox& inbox, Make make) {
  return [&inbox, make, last = std::optional<Monotonic>()](std::uint64_t done,
                                                           std::uint64_t total) mutable {
    const Monotonic now = system_now().monotonic;
    if (!last || now - *last >= kProgressEvery) {
      last = now;
      (void)inbox.try_push(Event(make(done, total)));
    }
  };
}

// Forgets the flags of transfers that have ended: only their own thread held them beside the map.
template <class Key>
void forget_ended(std::map<Key, std::shared_ptr<StopFlag>>& flags) {
  std::erase_if(flags, [](const auto& entry) { return entry.second.use_count() == 1; });
}

Refusal cut(const Refusal& cause) {
  return {"transfer_cut", cause.message, cause.hint, Scope::task};
}

// A result may wait for days, and a bit flip meanwhile: such bytes never leave. For the core the
// result is then missing, and computed again when the broker asks.
Expected<void> still_sound(BlobStore& blobs, const BlobId& blob) {
  if (!blobs.vouch_for(blob)) {
    return refuse(
        "blob_missing",
        fmt::format("blob {} of a finished task is damaged or gone at the site", blob.short_hex()),
        "check the disk of the site's data folder", Scope::site);
  }
  return {};
}

}  // namespace

Transfers::Transfers(const BrokerRoute& route, BlobStore& blobs, msg::Hello hello, Inbox& inbox)
    : sessions_(route, std::move(hello)), blobs_(blobs), inbox_(inbox), pool_(kTransfersMax) {}

void Transfers::download(const BlobId& blob) {
  forget_ended(downloads_);
  auto flag = std::make_shared<StopFlag>(false);
  downloads_[blob] = flag;
  pool_.post([this, blob, flag] {
    const auto move = [&](DataSessions::Taken& taken, const TransferProgress& progress,
                          const StopFlag& stop) {
      return get_blob(*taken.session, blobs_, blob, progress, stop);
    };
    const auto progress = paced(inbox_, [blob](std::uint64_t done, std::uint64_t total) {
      return event::DownloadMoved{blob, done, total};
    });
    const auto refusal = attempt(move, progress, *flag);
    if (!refusal) {
      ENTENTE_FAILPOINT("agent.download.after");
    }
    (void)inbox_.push(Event(event::DownloadEnded{blob, refusal}));
  });
}

void Transfers::upload(const TaskKey& key, const BlobId& blob) {
  forget_ended(uploads_);
  auto flag = std::make_shared<StopFlag>(false);
  uploads_[key] = flag;
  pool_.post([this, key, blob, flag] {
    const auto move = [&](DataSessions::Taken& taken, const TransferProgress& progress,
                          const StopFlag& stop) {
      if (auto sound = still_sound(blobs_, blob); !sound) {
        return sound;
      }
      const auto chunk_by_chunk = [&progress](std::uint64_t done, std::uint64_t total) {
        ENTENTE_FAILPOINT("agent.upload.chunk");
        progress(done, total);
      };
      return put_blob(*taken.session, taken.pace, blobs_, blob, chunk_by_chunk, stop);
    };
    const auto progress = paced(inbox_, [key](std::uint64_t done, std::uint64_t total) {
      return event::UploadMoved{key, done, total};
    });
    const auto refusal = attempt(move, progress, *flag);
    if (!refusal) {
      ENTENTE_FAILPOINT("agent.upload.after");
    }
    (void)inbox_.push(Event(event::UploadEnded{key, refusal}));
  });
}

void Transfers::stop_download(const BlobId& blob) {
  if (const auto found = downloads_.find(blob); found != downloads_.end()) {
    *found->second = true;
    downloads_.erase(found);
  }
}

void Transfers::stop_upload(const TaskKey& key) {
  if (const auto found = uploads_.find(key); found != uploads_.end()) {
    *found->second = true;
    uploads_.erase(found);
  }
}

bool Transfers::stop(Millis limit) {
  for (const auto& [blob, flag] : downloads_) {
    *flag = true;
  }
  for (const auto& [key, flag] : uploads_) {
    *flag = true;
  }
  return pool_.stop(limit);
}

Expected<void> Transfers::over_a_session(const Move& move, const TransferProgress& progress,
                                         const StopFlag& stop) {
  if (stop) {
    return refuse("stopped", "the transfer was stopped", {}, Scope::task);
  }
  auto taken = sessions_.take();
  if (!taken) {
    return tl::unexpected(cut(taken.error()));
  }
  auto moved = move(*taken, progress, stop);
  // A kept session may have died with a broker that has been restarted since: no attempt lost.
  if (!moved && moved.error().code == "transfer_cut" && taken->is_used) {
    taken = sessions_.open();
    if (!taken) {
      return tl::unexpected(cut(taken.error()));
    }
    moved = move(*taken, progress, stop);
  }
  if (moved) {
    sessions_.give_back(std::move(*taken), system_now().monotonic);
  }
  return moved;
}

std::optional<Refusal> Transfers::attempt(const Move& move, const TransferProgress& progress,
                                          const StopFlag& stop) {
  try {
    const auto moved = over_a_session(move, progress, stop);
    return moved ? std::nullopt : std::optional(moved.error());
  } catch (const std::exception& error) {
    // A full or failing disk ends this transfer, not the agent.
    return Refusal{"disk_failed", error.what(), "check the disk of the site's data folder",
                   Scope::site};
  }
}

}  // namespace entente::agent
