// "Commit, then speak": whatever an action tells somebody must be in a row that is committed by
// then.
#pragma once

#include "broker/core/effect.h"
#include "tests/unit/broker_core/memory_store.h"

namespace entente::broker {

// Fails the test when `action` names something that `store`, which holds the rows of this and all
// earlier steps, does not back.
void expect_committed(const MemoryStore& store, const Action& action);

}  // namespace entente::broker
