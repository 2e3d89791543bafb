// What the operator decides about the queue, in broker.toml (docs/broker-config.md).
#pragma once

#include <cstdint>

#include "broker/core/scheduler.h"
#include "common/base/limits.h"
#include "common/base/time.h"

namespace entente::broker {

struct QueueSettings {
  Millis half_life = limits::kUsageHalfLifeDefault;  // of what a coordinator has used
  std::int32_t coordinator_priority_max = 0;         // operators may go up to limits::kPriorityMax
  Quota quota;                                       // of each coordinator
  bool operator==(const QueueSettings&) const = default;
};

}  // namespace entente::broker
