// Follows the broker's kit while the broker runs: a renewed certificate, a fresh revocation list.
//
//  - It looks for changed files every few seconds, and at once on SIGHUP.
//  - A kit that cannot be used whole is not used: the one before stays, and the log says why. It is
//    tried again at every look: files that are replaced one after the other are taken once they fit
//    together.
//  - The kit has to stay the same broker's.
#pragma once

#include <functional>
#include <thread>

#include "common/crypto/kit.h"
#include "common/crypto/tls_context.h"
#include "common/runtime/event_fd.h"
#include "common/runtime/hangup_signal.h"

namespace entente::broker {

class KitWatch {
 public:
  using Renewed = std::function<void(TlsContext)>;

  // `kit` is the one in use. `renewed` is called on the watch's own thread.
  KitWatch(Kit kit, HangupSignal& hangup, Renewed renewed);
  ~KitWatch();
  KitWatch(const KitWatch&) = delete;
  KitWatch& operator=(const KitWatch&) = delete;

 private:
  void run();
  // Takes up the kit as it is now on the disk.
  [[nodiscard]] Expected<void> load();

  Kit kit_;
  HangupSignal& hangup_;
  const Renewed renewed_;
  EventFd stop_;
  std::thread thread_;  // last: starts when everything above is there
};

}  // namespace entente::broker
