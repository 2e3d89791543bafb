// The data plane from end to end: TLS front, router, data thread and the client's transfers.
#include "broker/data_plane/data_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <optional>

#include "certs/authority.h"
#include "certs/kit_folder.h"
#include "common/base/limits.h"
#include "common/blob/transfer.h"
#include "common/crypto/digest.h"
#include "common/crypto/kit.h"
#include "common/net/client_session.h"
#include "common/net/tls_front.h"
#include "common/runtime/system_clock.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/data_plane/tensors.h"

namespace entente::broker {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{20};
constexpr std::size_t kMiB = 1 << 20;
constexpr char kNorth[] = "site/north";

// What the data plane reported, for a test thread to wait on.
class Reports {
 public:
  void arrived(BlobArrived report) {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(std::move(report));
    changed_.notify_all();
  }
  std::optional<BlobArrived> await_arrival() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [this] { return !arrived_.empty(); })) {
      return std::nullopt;
    }
    BlobArrived first = std::move(arrived_.front());
    arrived_.erase(arrived_.begin());
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<BlobArrived> arrived_;
};

// Front and data plane call each other; while they are taken down, calls to the one that is gone
// fall silent.
class Link {
 public:
  void connect(net::TlsFront* front, DataPlane* plane) {
    const std::lock_guard lock(mutex_);
    front_ = front;
    plane_ = plane;
  }
  template <class Call>
  void with_front(Call call) {
    const std::lock_guard lock(mutex_);
    if (front_ != nullptr) {
      call(*front_);
    }
  }
  template <class Call>
  void with_plane(Call call) {
    const std::lock_guard lock(mutex_);
    if (plane_ != nullptr) {
      call(*plane_);
    }
  }

 private:
  std::mutex mutex_;
  net::TlsFront* front_ = nullptr;
  DataPlane* plane_ = nullptr;
};

class DataPlaneTest : public testing::Test {
 protected:
  DataPlaneTest() {
    make_kits();
    plane_ = std::make_unique<DataPlane>(broker_store_, inbox_,
                                         msg::Welcome{1, 0, "hub", "0.1", {}}, plane_handlers());
    front_ = std::make_unique<net::TlsFront>("127.0.0.1", 0, *TlsContext::server(*broker_kit_),
                                             consortium_, front_handlers());
    link_.connect(front_.get(), plane_.get());
  }

  ~DataPlaneTest() override {
    link_.connect(nullptr, nullptr);
    plane_.reset();
    front_.reset();
  }

  void make_kits() {
    const UnixMillis now = system_now().unix_ms;
    const Validity validity{now - pki::kDayMs, now + pki::kDayMs};
    auto authority = pki::Authority::create(folder_ / "ca", consortium_, now - pki::kDayMs);
    ASSERT_TRUE(authority) << authority.error().message;
    const auto kit = [&](const pki::Member& member) -> Expected<Kit> {
      const fs::path folder = folder_ / member.name;
      const auto issued = pki::issue_kit(*authority, member, {}, validity, folder);
      return issued ? load_kit(folder, now) : tl::unexpected(issued.error());
    };
    broker_kit_ = kit({Role::broker, "hub", {{"localhost"}, {"127.0.0.1"}}});
    ASSERT_TRUE(broker_kit_) << broker_kit_.error().message;
    site_kit_ = kit({Role::site, "north", {}});
    ASSERT_TRUE(site_kit_) << site_kit_.error().message;
  }

  DataPlaneHandlers plane_handlers() {
    return {[this](BlobArrived report) { reports_.arrived(std::move(report)); },
            [this](const BlobMoved& report) {
              if (cut_when_moved_ && report.done > 0) {
                link_.with_front([this](net::TlsFront& front) { front.close(session_); });
              }
            },
            [this](SessionId session) {
              link_.with_front([&](net::TlsFront& front) { front.close(session); });
            },
            [](const std::string& what) { ADD_FAILURE() << what; }};
  }

  net::TlsFrontHandlers front_handlers() {
    return {[this](net::SessionUp up) {
              session_ = up.session;
              link_.with_plane([&](DataPlane& plane) { plane.session_up(std::move(up)); });
            },
            [this](const net::SessionDown& down) {
              link_.with_plane([&](DataPlane& plane) { plane.session_down(down.session); });
            },
            [](const net::HandshakeRefused& refused) { ADD_FAILURE() << refused.reason.message; }};
  }

  std::unique_ptr<net::ClientSession> connect() {
    auto session = net::ClientSession::open(
        zmq_, {"127.0.0.1:" + std::to_string(front_->port()), "",
               *TlsContext::client(*site_kit_, Plane::data), consortium_, Plane::data});
    if (!session) {
      ADD_FAILURE() << session.error().message;
      return nullptr;
    }
    const auto welcome = open_data_plane(**session, msg::Hello{});
    EXPECT_TRUE(welcome) << welcome.error().message;
    return std::move(*session);
  }

  static BlobId keep(BlobStore& store, std::string_view bytes) {
    const fs::path file = store.scratch_path("made");
    std::ofstream(file, std::ios::binary) << bytes;
    return store.adopt(file);
  }

  static std::string some_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    for (std::size_t i = 0; i < count; ++i) {
      bytes[i] = static_cast<char>(i * 2654435761U >> 13);
    }
    return bytes;
  }

  // Notes how far a transfer had come and asks it to stop at `until`.
  struct Watch {
    std::uint64_t until = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    StopFlag stop{false};

    TransferProgress progress() {
      return [this](std::uint64_t done, std::uint64_t) {
        first = first == 0 ? done : first;
        last = done;
        stop = done >= until;
      };
    }
  };

  Expected<void> put(net::ClientSession& session, const BlobId& blob) {
    Watch watch;
    Pace pace;
    return put_blob(session, pace, site_store_, blob, watch.progress(), watch.stop);
  }

  zmq::context_t zmq_;  // of the clients
  const ConsortiumId consortium_ = ConsortiumId::literal("lungs");
  const integration::TempFolder temp_;  // outlives the stores, which remove blobs on threads
  const fs::path folder_ = temp_.path();
  BlobStore broker_store_{folder_ / "broker"};
  FileInbox inbox_{folder_ / "brought"};
  BlobStore site_store_{folder_ / "site"};
  Expected<Kit> broker_kit_ = refuse("kit_missing", "");
  Expected<Kit> site_kit_ = refuse("kit_missing", "");
  Reports reports_;
  Link link_;
  std::atomic<SessionId> session_{0};
  std::atomic<bool> cut_when_moved_{false};
  std::unique_ptr<DataPlane> plane_;
  std::unique_ptr<net::TlsFront> front_;
};

TEST_F(DataPlaneTest, ABlobGoesThereAndComesBack) {
  const std::string bytes = some_bytes(20 * kMiB + 123);
  const BlobId blob = keep(site_store_, bytes);
  plane_->grant(PutGrant{kNorth, blob, bytes.size(), nullptr, 0});
  plane_->grant(GetGrant{kNorth, blob});
  const auto session = connect();
  ASSERT_TRUE(session);
  const Expected<void> stored = put(*session, blob);
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_TRUE(broker_store_.verify(blob));
  const auto arrival = reports_.await_arrival();
  ASSERT_TRUE(arrival);
  EXPECT_EQ(arrival->peer, kNorth);
  EXPECT_TRUE(arrival->check);

  BlobStore cache(folder_ / "cache");
  Watch watch;
  const Expected<void> got = get_blob(*session, cache, blob, watch.progress(), watch.stop);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(cache.verify(blob));
  EXPECT_EQ(watch.last, bytes.size());
}

TEST_F(DataPlaneTest, ACutPutResumesWithinOneCreditWindow) {
  const std::string bytes = some_bytes(24 * kMiB);
  const BlobId blob = keep(site_store_, bytes);
  plane_->grant(PutGrant{kNorth, blob, bytes.size(), nullptr, 0});
  Watch cut;
  cut.until = 15 * kMiB;
  {
    const auto session = connect();
    ASSERT_TRUE(session);
    Pace pace;
    const auto stopped = put_blob(*session, pace, site_store_, blob, cut.progress(), cut.stop);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, "stopped");
  }
  const auto session = connect();
  ASSERT_TRUE(session);
  Watch rest;
  Pace pace;
  const auto stored = put_blob(*session, pace, site_store_, blob, rest.progress(), rest.stop);
  ASSERT_TRUE(stored) << stored.error().message;
  EXPECT_TRUE(broker_store_.verify(blob));
  const std::uint64_t resumed_at = rest.first - limits::kChunkBytesMin;
  EXPECT_GT(resumed_at, 0U);
  EXPECT_LE(cut.last - resumed_at, limits::kCreditChunks * kMiB);
}

TEST_F(DataPlaneTest, ACutFromTheBrokersSideIsATransferToTryAgain) {
  const std::string bytes = some_bytes(24 * kMiB);
  const BlobId blob = keep(site_store_, bytes);
  plane_->grant(PutGrant{kNorth, blob, bytes.size(), nullptr, 0});
  cut_when_moved_ = true;
  {
    const auto session = connect();
    ASSERT_TRUE(session);
    const Expected<void> cut = put(*session, blob);
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, "transfer_cut");
  }
  cut_when_moved_ = false;
  const auto session = connect();
  ASSERT_TRUE(session);
  const Expected<void> stored = put(*session, blob);
  EXPECT_TRUE(stored) << stored.error().message;
}

TEST_F(DataPlaneTest, ACutGetResumesWhereItStopped) {
  const std::string bytes = some_bytes(24 * kMiB);
  const BlobId blob = keep(broker_store_, bytes);
  plane_->grant(GetGrant{kNorth, blob});
  Watch cut;
  cut.until = 10 * kMiB;
  {
    const auto session = connect();
    ASSERT_TRUE(session);
    const auto stopped = get_blob(*session, site_store_, blob, cut.progress(), cut.stop);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, "stopped");
  }
  const auto session = connect();
  ASSERT_TRUE(session);
  Watch rest;
  const auto got = get_blob(*session, site_store_, blob, rest.progress(), rest.stop);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(rest.first, cut.last + limits::kChunkBytesMin);
  EXPECT_TRUE(site_store_.verify(blob));
}

TEST_F(DataPlaneTest, AStoppedTransferLeavesItsSessionUsable) {
  const std::string bytes = some_bytes(24 * kMiB);
  const BlobId blob = keep(broker_store_, bytes);
  plane_->grant(GetGrant{kNorth, blob});
  const auto session = connect();
  ASSERT_TRUE(session);
  Watch cut;
  cut.until = 5 * kMiB;
  ASSERT_FALSE(get_blob(*session, site_store_, blob, cut.progress(), cut.stop));
  Watch rest;
  const auto got = get_blob(*session, site_store_, blob, rest.progress(), rest.stop);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(site_store_.verify(blob));
}

TEST_F(DataPlaneTest, WhatIsNotGrantedIsRefusedAndTheSessionGoesOn) {
  const std::string bytes = "an update that nobody asked for";
  const BlobId blob = keep(site_store_, bytes);
  const auto session = connect();
  ASSERT_TRUE(session);
  EXPECT_EQ(put(*session, blob).error().code, "not_granted");
  EXPECT_FALSE(broker_store_.has(blob));
  plane_->grant(PutGrant{kNorth, blob, bytes.size(), nullptr, 0});
  EXPECT_TRUE(put(*session, blob));
  plane_->revoke(kNorth, blob);
  EXPECT_EQ(put(*session, blob).error().code, "not_granted");
}

TEST_F(DataPlaneTest, AnUpdateThatIsNotFiniteIsRefusedAndGone) {
  const std::string bytes = tensor_bytes({1, std::numeric_limits<float>::infinity()});
  const BlobId blob = keep(site_store_, bytes);
  plane_->grant(PutGrant{kNorth, blob, bytes.size(), layout_of(2), 100});
  const auto session = connect();
  ASSERT_TRUE(session);
  EXPECT_EQ(put(*session, blob).error().code, "not_finite");
  const auto arrival = reports_.await_arrival();
  ASSERT_TRUE(arrival);
  EXPECT_EQ(arrival->check.error().code, "not_finite");
  EXPECT_FALSE(broker_store_.has(blob));
}

TEST_F(DataPlaneTest, BytesThatChangedAtTheSiteAreRefused) {
  const std::string bytes = some_bytes(3 * kMiB);
  const BlobId blob = keep(site_store_, bytes);
  std::string flipped = bytes;
  flipped[kMiB] = static_cast<char>(flipped[kMiB] ^ 4);
  std::ofstream(site_store_.path(blob), std::ios::binary) << flipped;
  plane_->grant(PutGrant{kNorth, blob, bytes.size(), nullptr, 0});
  const auto session = connect();
  ASSERT_TRUE(session);
  EXPECT_EQ(put(*session, blob).error().code, "blob_corrupt");
  EXPECT_FALSE(broker_store_.has(blob));
}

}  // namespace
}  // namespace entente::broker
