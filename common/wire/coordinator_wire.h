// Requests, replies and job updates, from and to schemas/coordinator.capnp.
#pragma once

#include <schemas/coordinator.capnp.h>

#include "common/domain/messages.h"

namespace entente::wire {

void write(const msg::Request& request, schema::Request::Builder to);
void write(const msg::Reply& reply, schema::Reply::Builder to);
void write(const msg::JobUpdate& update, schema::JobUpdate::Builder to);

[[nodiscard]] msg::Request read(schema::Request::Reader from);
[[nodiscard]] msg::Reply read(schema::Reply::Reader from);
[[nodiscard]] msg::JobUpdate read(schema::JobUpdate::Reader from);

}  // namespace entente::wire
