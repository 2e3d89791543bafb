// Explanations of jobs, from and to schemas/coordinator.capnp.
#pragma once

#include <schemas/coordinator.capnp.h>

#include "common/domain/explanation.h"

namespace entente::wire {

void write(const Explanation& explanation, schema::Explanation::Builder to);
[[nodiscard]] Explanation read(schema::Explanation::Reader from);

}  // namespace entente::wire
