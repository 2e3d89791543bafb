// Tasks and their messages, from and to schemas/task.capnp.
#pragma once

#include <schemas/task.capnp.h>

#include "common/domain/messages.h"
#include "common/domain/task.h"

namespace entente::wire {

void write(const TaskProgress& progress, schema::TaskProgress::Builder to);
void write(const msg::TaskOffer& offer, schema::TaskOffer::Builder to);
void write(const msg::TaskReport& report, schema::TaskReport::Builder to);
void write(const msg::ResultAnnounce& announce, schema::ResultAnnounce::Builder to);
void write(const msg::ResultGrant& grant, schema::ResultGrant::Builder to);
void write(const msg::ResultVerdict& verdict, schema::ResultVerdict::Builder to);
void write(const msg::TaskFailed& failed, schema::TaskFailed::Builder to);

[[nodiscard]] TaskProgress read(schema::TaskProgress::Reader from);
[[nodiscard]] msg::TaskOffer read(schema::TaskOffer::Reader from);
[[nodiscard]] msg::TaskReport read(schema::TaskReport::Reader from);
[[nodiscard]] msg::ResultAnnounce read(schema::ResultAnnounce::Reader from);
[[nodiscard]] msg::ResultGrant read(schema::ResultGrant::Reader from);
[[nodiscard]] msg::ResultVerdict read(schema::ResultVerdict::Reader from);
[[nodiscard]] msg::TaskFailed read(schema::TaskFailed::Reader from);

}  // namespace entente::wire
