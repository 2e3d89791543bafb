// From the effects that the journal keeps to its rows. All throw SQLite::Exception.
#pragma once

#include "common/base/time.h"
#include "common/storage/statements.h"
#include "site-agent/core/events.h"

namespace entente::agent {

void write(Statements& statements, const effect::SavePromise& it, UnixMillis now);
void write(Statements& statements, const effect::ForgetPromise& it, UnixMillis now);
void write(Statements& statements, const effect::SaveResult& it, UnixMillis now);
void write(Statements& statements, const effect::DropResult& it, UnixMillis now);
void write(Statements& statements, const effect::SaveSiteState& it, UnixMillis now);
void write(Statements& statements, const effect::DropSiteState& it, UnixMillis now);
void write(Statements& statements, const effect::RecordDeparture& it, UnixMillis now);
void write(Statements& statements, const effect::SaveDecision& it, UnixMillis now);
void write(Statements& statements, const effect::SpendRound& it, UnixMillis now);
void write(Statements& statements, const effect::SavePause& it, UnixMillis now);
void write(Statements& statements, const effect::ClearPause& it, UnixMillis now);

template <class T>
concept JournalEffect = requires(Statements& statements, const T& effect) {
  write(statements, effect, UnixMillis{});
};

}  // namespace entente::agent
