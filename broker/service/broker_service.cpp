#include "broker/service/broker_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <set>
#include <vector>

#include "broker/expressions/sqlite_evaluator.h"
#include "broker/service/broker_loop.h"
#include "broker/service/kit_watch.h"
#include "broker/service/recovery.h"
#include "common/base/version.h"
#include "common/blob/file.h"
#include "common/crypto/kit.h"
#include "common/domain/brought_files.h"
#include "common/net/context.h"
#include "common/runtime/log.h"
#include "common/runtime/system_clock.h"

namespace entente::broker {
namespace {

// Messages between threads; a full inbox makes the other threads wait, never the loop.
constexpr std::size_t kInboxMessages = 4096;

// Whether a job of the sender's waits for the file.
bool is_awaited(const Snapshot& snapshot, const FileInbox::Left& left) {
  const auto is_recorded = [&](const JobRow& job) {
    return std::any_of(snapshot.files.begin(), snapshot.files.end(), [&](const FileRow& row) {
      return row.job == job.job && row.blob == left.blob;
    });
  };
  return std::any_of(snapshot.jobs.begin(), snapshot.jobs.end(), [&](const JobRow& job) {
    const auto files =
        is_terminal(job.state) ? std::vector<BroughtFile>() : brought_files(job.spec);
    return left.sender.ends_with("/" + job.coordinator) && !is_recorded(job) &&
           std::any_of(files.begin(), files.end(),
                       [&](const BroughtFile& file) { return file.blob == left.blob; });
  });
}

// Blobs that no row names: leftovers of jobs that have ended and of a crash between file and row.
// And what coordinators have brought that no job awaits.
void collect_orphans(BrokerStore& store, BlobStore& blobs, FileInbox& inbox,
                     const Snapshot& snapshot) {
  for (const auto& left : inbox.list()) {
    if (!is_awaited(snapshot, left)) {
      inbox.forget(left.sender, left.blob);
    }
  }
  const auto named = store.named_blobs();
  const std::set<BlobId> keep(named.begin(), named.end());
  for (const auto& blob : blobs.list()) {
    if (!keep.contains(blob)) {
      blobs.remove(blob);
    }
  }
}

DataPlaneHandlers data_handlers(LoopInbox& inbox) {
  DataPlaneHandlers handlers;
  handlers.on_arrived = [&inbox](BlobArrived arrived) {
    inbox.push(Event(
        UpdateArrived{arrived.peer, arrived.blob,
                      arrived.check.map([](const TensorCheck& check) { return check.l2_norm; })}));
  };
  handlers.on_moved = [&inbox](BlobMoved moved) {
    inbox.push(Event(TransferMoved{moved.peer, moved.blob, moved.done, moved.total}));
  };
  handlers.close_session = [&inbox](SessionId session) { inbox.push(ClosePeer{session}); };
  handlers.on_failure = [&inbox](std::string what) {
    inbox.push(ThreadFailed{"data plane: " + std::move(what)});
  };
  return handlers;
}

net::TlsFrontHandlers front_handlers(LoopInbox& inbox, DataPlane& data_plane) {
  net::TlsFrontHandlers handlers;
  handlers.on_up = [&](net::SessionUp up) {
    if (up.plane == Plane::data) {
      data_plane.session_up(std::move(up));
    } else {
      inbox.push(std::move(up));
    }
  };
  handlers.on_down = [&](net::SessionDown down) {
    if (down.plane == Plane::data) {
      data_plane.session_down(down.session);
    } else {
      inbox.push(std::move(down));
    }
  };
  handlers.on_refused = [&inbox](net::HandshakeRefused refused) { inbox.push(std::move(refused)); };
  return handlers;
}

StoreHandlers store_handlers(LoopInbox& inbox) {
  return {[&inbox](std::vector<Action> actions) { inbox.push(Committed{std::move(actions)}); },
          [&inbox](std::string what) { inbox.push(ThreadFailed{"database: " + std::move(what)}); }};
}

MergeHandlers merge_handlers(LoopInbox& inbox) {
  return {[&inbox](MergeFinished merge) { inbox.push(Event(std::move(merge))); },
          [&inbox](std::string what) { inbox.push(ThreadFailed{"merge: " + std::move(what)}); }};
}

void publish_endpoint(const BrokerConfig& config, std::uint16_t port) {
  const auto endpoint = fmt::format("{}:{}\n", config.host, port);
  write_file_durably(config.data_dir / "endpoint", std::as_bytes(std::span(endpoint)));
}

Expected<void> run(const BrokerConfig& config, const Kit& kit, TlsContext tls, BrokerStore store,
                   StopSignal& stop, HangupSignal& hangup) {
  BlobStore blobs(config.data_dir / "blobs");
  FileInbox brought(config.data_dir / "brought");
  auto snapshot = store.load();
  if (!snapshot) {
    return tl::unexpected(snapshot.error());
  }
  if (auto recovered = recover(store, blobs, brought, *snapshot, system_now().unix_ms);
      !recovered) {
    return recovered;
  }
  collect_orphans(store, blobs, brought, *snapshot);
  const SqliteEvaluator evaluator;
  BrokerCore core({kit.identity.name, kVersion, config.queue, &evaluator}, *std::move(snapshot),
                  system_now());

  zmq::context_t context;
  LoopInbox inbox(kInboxMessages);
  net::RouterPort router(context);
  msg::Welcome welcome;
  welcome.broker = kit.identity.name;
  welcome.version = kVersion;

  // Torn down in reverse order: first nobody new comes in, then the threads end, the store last so
  // that what was decided is still written.
  StoreThread store_thread(std::move(store), store_handlers(inbox));
  MergeThread merges(blobs, merge_handlers(inbox));
  DataPlane data_plane(blobs, brought, welcome, data_handlers(inbox));
  net::TlsFront front(config.host, config.port, std::move(tls), kit.identity.consortium,
                      front_handlers(inbox, data_plane));
  const KitWatch kit_watch(kit, hangup,
                           [&front](TlsContext renewed) { front.renew(std::move(renewed)); });
  publish_endpoint(config, front.port());
  log::info("listening",
            fmt::format("{} of {} serves {}:{}", kit.identity.path(), kit.identity.consortium.str(),
                        config.host, front.port()),
            {{"data_dir", config.data_dir.string()}, {"version", kVersion}});

  BrokerLoop loop(std::move(core), inbox, {router, front, store_thread, merges, data_plane, blobs});
  const auto failure = loop.run(stop);
  front.stop_accepting();
  inbox.close();  // the threads may now end without anybody reading their last words
  if (failure) {
    return refuse("broker_failed", "the broker had to stop: " + *failure,
                  "make room or repair the disk, then start it again; jobs go on where they were",
                  Scope::broker);
  }
  return {};
}

}  // namespace

Expected<void> serve(const BrokerConfig& config, StopSignal& stop, HangupSignal& hangup) {
  net::raise_descriptor_limit();
  const auto kit = load_kit(config.kit, system_now().unix_ms);
  if (!kit) {
    return tl::unexpected(kit.error());
  }
  if (kit->identity.role != Role::broker) {
    return refuse("kit_invalid",
                  fmt::format("{} is the kit of {}, not of a broker", config.kit.string(),
                              kit->identity.path()),
                  "make one with: entente pki issue broker NAME", Scope::broker);
  }
  auto tls = TlsContext::server(*kit);
  if (!tls) {
    return tl::unexpected(tls.error());
  }
  try {
    make_folder(config.data_dir);
    auto store = BrokerStore::open(config.data_dir / "broker.db");
    if (!store) {
      return tl::unexpected(store.error());
    }
    return run(config, *kit, *std::move(tls), *std::move(store), stop, hangup);
  } catch (const std::exception& error) {  // a disk, an address, the database
    return refuse("broker_failed", fmt::format("the broker can't run: {}", error.what()),
                  "see whether the address is free and the disk writable: listen and data_dir in "
                  "the configuration",
                  Scope::broker);
  }
}

}  // namespace entente::broker
