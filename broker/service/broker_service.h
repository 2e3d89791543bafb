// The broker's shell: sockets, threads and clocks around BrokerCore.
//
//   loop thread   owns the core and the control ROUTER; turns messages into events
//   store thread  owns the database; hands actions back once their rows are committed
//   data thread   owns the data ROUTER and the blobs under way
//   merge thread  merges
//   kit thread    follows the files of the kit (kit_watch.h)
//   tls threads   carry bytes between TLS sessions and the two ROUTERs
//
// They exchange owned messages through mailboxes. The loop waits for nobody: it hands effects to
// the store and goes on; actions come back through its inbox in the order they were decided. A
// failure of disk or database stops the broker: what was not committed was not promised.
#pragma once

#include <string>

#include "broker/service/config.h"
#include "common/base/refusal.h"
#include "common/runtime/hangup_signal.h"
#include "common/runtime/stop_signal.h"

namespace entente::broker {

// Serves until SIGTERM or SIGINT; SIGHUP has the kit read again. Refuses when it can't start (kit,
// address, data directory), or with code "broker_failed" when a disk or database failure ended it.
[[nodiscard]] Expected<void> serve(const BrokerConfig& config, StopSignal& stop,
                                   HangupSignal& hangup);

}  // namespace entente::broker
