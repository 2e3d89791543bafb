// One site's upload as it happens in a round: from a file of the site's blob store, over TLS, to a
// checked, durable blob at the broker. Both ends are in this process, so that its CPU time is the
// whole of it.
#include <benchmark/benchmark.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <zmq.hpp>

#include "broker/data_plane/data_plane.h"
#include "common/base/limits.h"
#include "common/blob/transfer.h"
#include "common/net/client_session.h"
#include "common/net/tls_front.h"
#include "common/tensors/safetensors.h"
#include "tests/bench/parts/scene.h"

namespace entente::bench {
namespace {

constexpr std::int64_t kElements = 64 << 20;  // 256 MiB
constexpr std::size_t kBlock = 1 << 16;

TensorLayout one_tensor() { return TensorLayout{{{"w", {kElements}}}}; }

// A front and a data plane that report to each other.
class DataBroker {
 public:
  DataBroker(const Kit& kit, BlobStore& store, broker::FileInbox& inbox)
      : plane_(store, inbox, msg::Welcome{1, 0, "main", "bench", {}},
               {[this](const broker::BlobArrived& arrived) { arrive(arrived); },
                [](const broker::BlobMoved&) {}, [](SessionId) {}, [](const std::string&) {}}),
        front_("127.0.0.1", 0, TlsContext::server(kit).value(), ConsortiumId::literal("bench"),
               {[this](net::SessionUp up) { plane_.session_up(std::move(up)); },
                [this](const net::SessionDown& down) { plane_.session_down(down.session); },
                [](const net::HandshakeRefused&) {}}) {}

  [[nodiscard]] std::uint16_t port() const { return front_.port(); }
  [[nodiscard]] broker::DataPlane& plane() { return plane_; }

  // Waits for the next arrival; false when the blob was refused.
  bool await_arrival() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return arrivals_ > 0; });
    --arrivals_;
    return sound_;
  }

 private:
  void arrive(const broker::BlobArrived& arrived) {
    const std::lock_guard lock(mutex_);
    ++arrivals_;
    sound_ = arrived.check.has_value();
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int arrivals_ = 0;
  bool sound_ = true;
  broker::DataPlane plane_;
  net::TlsFront front_;
};

BlobId make_update(BlobStore& store, const TensorLayout& layout) {
  const auto file = store.scratch_path("update");
  TensorFileWriter writer(file, layout, {{"format", "pt"}});
  const std::vector<float> block(kBlock, 0.5F);
  for (std::int64_t done = 0; done < kElements; done += kBlock) {
    writer.append(block);
  }
  writer.close();
  return store.adopt(file);
}

void upload(benchmark::State& state) {
  const Members members;
  const Folder folder;
  BlobStore site(folder.path() / "site");
  BlobStore stored(folder.path() / "broker");
  const auto layout = std::make_shared<const TensorLayout>(one_tensor());
  const BlobId blob = make_update(site, *layout);
  const auto bytes = site.size(blob).value();
  broker::FileInbox inbox(folder.path() / "brought");
  DataBroker broker(members.broker(), stored, inbox);
  broker.plane().grant(broker::PutGrant{"site/north", blob, bytes, layout, limits::kUpdateNormMax});
  const net::DialOptions dial{"localhost:" + std::to_string(broker.port()), "",
                              TlsContext::client(members.site(), Plane::data).value(),
                              ConsortiumId::literal("bench"), Plane::data};
  zmq::context_t context;
  for (auto _ : state) {
    const auto session = net::ClientSession::open(context, dial).value();
    open_data_plane(*session, msg::Hello{}).value();
    Pace pace;
    const auto put = put_blob(*session, pace, site, blob, {}, StopFlag{false});
    if (!put || !broker.await_arrival()) {
      state.SkipWithError(put ? "the update was refused" : put.error().message.c_str());
      break;
    }
    state.PauseTiming();
    stored.remove(blob);
    state.ResumeTiming();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) *
                          static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(upload)->Name("ours/upload")->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace entente::bench
