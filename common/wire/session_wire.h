// Session messages and site adverts, from and to schemas/session.capnp and schemas/site.capnp.
#pragma once

#include <schemas/session.capnp.h>
#include <schemas/site.capnp.h>

#include "common/domain/messages.h"

namespace entente::wire {

void write(const msg::Hello& hello, schema::Hello::Builder to);
void write(const msg::Welcome& welcome, schema::Welcome::Builder to);
void write(const msg::Refused& refused, schema::Refused::Builder to);
void write(const SiteAdvert& advert, schema::SiteAdvert::Builder to);
void write(const msg::Advert& advert, schema::Advert::Builder to);

[[nodiscard]] msg::Hello read(schema::Hello::Reader from);
[[nodiscard]] msg::Welcome read(schema::Welcome::Reader from);
[[nodiscard]] msg::Refused read(schema::Refused::Reader from);
[[nodiscard]] SiteAdvert read(schema::SiteAdvert::Reader from);
[[nodiscard]] msg::Advert read(schema::Advert::Reader from);

}  // namespace entente::wire
