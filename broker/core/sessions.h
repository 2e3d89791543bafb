// Sessions: greeting, superseding, parting.
//
// The same installation that connects again supersedes its older, perhaps half-open session;
// another installation with the same site certificate is refused, because two agents that answer
// for one site would count its data twice.
#pragma once

#include "broker/core/event.h"
#include "broker/core/step.h"

namespace entente::broker {

// The site of that name, which may be new to the broker.
Site& know_site(State& state, const SiteId& id);

void on_session_opened(Step& step, const SessionOpened& opened);
void on_session_closed(Step& step, SessionId session);
void on_hello(Step& step, Session& session, const msg::Hello& hello);
// Says again everything that is open with a site that has just come, or come back to work.
void catch_up(Step& step, const Site& site);
void on_advert(Step& step, const SiteId& site, const msg::Advert& advert);

}  // namespace entente::broker
