#include "broker/data_plane/data_plane.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>
#include <variant>
#include <zmq.hpp>

#include "broker/data_plane/blob_service.h"
#include "broker/data_plane/grant_book.h"
#include "common/base/time.h"
#include "common/blob/data_frames.h"
#include "common/net/router_port.h"
#include "common/runtime/log.h"
#include "common/runtime/mailbox.h"

namespace entente::broker {
namespace {

struct Down {
  SessionId session = 0;
};
// A file that a peer has brought need no longer be kept apart.
struct Forget {
  std::string peer;
  BlobId blob;
};
using Post = std::variant<net::SessionUp, Down, Forget>;

// Sessions come and go one by one; this many at once only when a whole consortium reconnects.
constexpr std::size_t kPostsMax = 16'384;

// Messages taken before the gets get their turn.
constexpr int kMessagesPerTurn = 32;

Monotonic steady_now() {
  return std::chrono::time_point_cast<Millis>(std::chrono::steady_clock::now());
}

}  // namespace

class DataPlane::Impl {
 public:
  Impl(BlobStore& store, FileInbox& inbox, msg::Welcome welcome, DataPlaneHandlers handlers)
      : handlers_(std::move(handlers)),
        port_(context_),
        service_(store, inbox, grants_, std::move(welcome), outputs()),
        thread_([this] { run(); }) {}

  ~Impl() {
    stopping_ = true;
    posts_.close();
    thread_.join();
  }

  void post(Post post) { posts_.push(std::move(post)); }
  void revoke(const std::string& peer, const BlobId& blob) {
    const auto ended = grants_.revoke(peer, blob);
    if (ended && ended->is_brought) {
      // The loop waits for nobody: what finds no room here goes at the next start.
      (void)posts_.try_push(Forget{peer, blob});
    }
  }
  [[nodiscard]] GrantBook& grants() { return grants_; }

 private:
  [[nodiscard]] BlobService::Outputs outputs() {
    return {
        [this](SessionId session, const msg::Data& message, std::optional<zmq::message_t> payload) {
          return port_.send(session, to_frames(message, std::move(payload)));
        },
        [this](SessionId session, const std::string& why) {
          log::warning("data_session_closed", "a data session was closed: " + why,
                       {{"session", std::to_string(session)}});
          handlers_.close_session(session);
        },
        [this](BlobArrived arrived) { handlers_.on_arrived(std::move(arrived)); },
        [this](BlobMoved moved) { handlers_.on_moved(std::move(moved)); }};
  }

  void run() {
    try {
      bool more = false;
      while (!stopping_) {
        wait(more);
        take_posts();
        take_messages();
        const bool more_to_send = service_.serve_gets(steady_now());
        more = more_messages_ || more_to_send;
      }
    } catch (const std::exception& error) {
      posts_.close();  // nobody may wait for a thread that has ended
      handlers_.on_failure(error.what());
    }
  }

  // Returns when there is something to do; at once when `more` says that there is.
  void wait(bool more) {
    zmq::pollitem_t items[] = {{port_.socket().handle(), 0, ZMQ_POLLIN, 0},
                               {nullptr, posts_.fd(), ZMQ_POLLIN, 0}};
    try {
      zmq::poll(items, std::size(items), Millis(more ? 0 : -1));
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) {
        throw;
      }
    }
  }

  void take_posts() {
    for (Post& post : posts_.drain()) {
      if (auto* up = std::get_if<net::SessionUp>(&post)) {
        service_.open(up->session, up->identity.path());
        port_.attach(*up);
      } else if (const auto* down = std::get_if<Down>(&post)) {
        service_.close(down->session);
        port_.detach(down->session);
      } else {
        const auto& forget = std::get<Forget>(post);
        service_.forget(forget.peer, forget.blob);
      }
    }
  }

  void take_messages() {
    more_messages_ = false;
    for (int i = 0; i < kMessagesPerTurn; ++i) {
      std::optional<net::RouterPort::Received> received = port_.receive();
      if (!received) {
        return;
      }
      const Expected<msg::Data> message = message_of(received->frames);
      if (message) {
        service_.receive(received->session, *message, std::move(received->frames.payload),
                         steady_now());
      } else if (message.error().code != "message_unknown") {
        service_.receive_garbage(received->session, message.error().message);
      }
    }
    more_messages_ = true;
  }

  const DataPlaneHandlers handlers_;
  GrantBook grants_;
  Mailbox<Post> posts_{kPostsMax};
  zmq::context_t context_;
  net::RouterPort port_;
  BlobService service_;
  bool more_messages_ = false;
  std::atomic<bool> stopping_{false};
  std::thread thread_;  // last: starts when everything above is there
};

DataPlane::DataPlane(BlobStore& store, FileInbox& inbox, msg::Welcome welcome,
                     DataPlaneHandlers handlers)
    : impl_(std::make_unique<Impl>(store, inbox, std::move(welcome), std::move(handlers))) {}

DataPlane::~DataPlane() = default;

void DataPlane::session_up(net::SessionUp up) { impl_->post(std::move(up)); }
void DataPlane::session_down(SessionId session) { impl_->post(Down{session}); }

void DataPlane::grant(PutGrant grant) { impl_->grants().add(std::move(grant)); }
void DataPlane::grant(GetGrant grant) { impl_->grants().add(std::move(grant)); }
void DataPlane::revoke(const std::string& peer, const BlobId& blob) { impl_->revoke(peer, blob); }

}  // namespace entente::broker
