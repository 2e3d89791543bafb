#include "broker/service/store_thread.h"

#include <algorithm>
#include <exception>
#include <iterator>

#include "common/base/limits.h"
#include "common/domain/messages.h"
#include "common/runtime/failpoint.h"

namespace entente::broker {
namespace {

// Events in one message: even with the longest texts below a control message's bound.
constexpr std::size_t kEventsPerMessage = 100;

void send_events(BrokerStore& store, const SendEvents& query, std::vector<Action>& out) {
  auto after = query.after_seq;
  do {
    // Rows of later steps may be in the store already; their events are sent by those steps.
    const auto left = query.up_to_seq > after ? query.up_to_seq - after : 0;
    auto events =
        store.events(query.summary.id, after, std::min<std::size_t>(left, kEventsPerMessage));
    after = events.empty() ? query.up_to_seq : events.back().seq;
    out.emplace_back(
        Send{query.session, msg::JobUpdate{query.request, query.summary, std::move(events), {}}});
  } while (after < query.up_to_seq);
}

void send_event_page(BrokerStore& store, const SendEventPage& query, std::vector<Action>& out) {
  out.emplace_back(
      Send{query.session,
           msg::Reply{query.request, store.events(query.job, query.after_seq, kEventsPerMessage)}});
}

void send_models(BrokerStore& store, const SendModels& query, std::vector<Action>& out) {
  auto models = store.models(query.job, query.version, query.coordinator);
  msg::Reply reply{query.request, {}};
  if (!query.version) {
    for (auto& model : models) {
      model.contributions.clear();  // a list has no room for them; ShowModel tells
    }
    reply.body = std::move(models);
  } else if (models.empty()) {
    reply.body = Refusal{"model_unknown", "there is no such model version", "", Scope::job};
  } else {
    reply.body = std::move(models.front());
  }
  out.emplace_back(Send{query.session, std::move(reply)});
}

void send_audit(BrokerStore& store, const SendAudit& query, std::vector<Action>& out) {
  const auto* show = std::get_if<msg::ShowAudit>(&query.query);
  auto entries = show != nullptr ? store.newest_audit(show->job, show->limit)
                                 : store.audit(std::get<msg::ReadAudit>(query.query).after_seq);
  out.emplace_back(Send{query.session, msg::Reply{query.request, std::move(entries)}});
}

}  // namespace

StoreThread::StoreThread(BrokerStore store, StoreHandlers handlers)
    : store_(std::move(store)),
      handlers_(std::move(handlers)),
      inbox_(kBatchesMax),
      thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  inbox_.close();
  thread_.join();
}

void StoreThread::run() {
  try {
    for (auto batches = inbox_.wait_and_drain(); !batches.empty();
         batches = inbox_.wait_and_drain()) {
      std::vector<Row> rows;
      for (auto& batch : batches) {
        rows.insert(rows.end(), std::make_move_iterator(batch.rows.begin()),
                    std::make_move_iterator(batch.rows.end()));
      }
      write(rows);
      for (auto& batch : batches) {
        handlers_.on_committed(answer(std::move(batch.actions)));
      }
    }
  } catch (const std::exception& error) {
    handlers_.on_failure(error.what());
  }
}

void StoreThread::write(const std::vector<Row>& rows) {
  if (rows.empty()) {
    return;
  }
  ENTENTE_FAILPOINT("broker.rows.before");
  store_.write(rows);
  ENTENTE_FAILPOINT("broker.rows.after");
  if (std::any_of(rows.begin(), rows.end(),
                  [](const Row& row) { return std::holds_alternative<ModelRow>(row); })) {
    ENTENTE_FAILPOINT("broker.model.published");
  }
}

std::vector<Action> StoreThread::answer(std::vector<Action> actions) {
  std::vector<Action> out;
  out.reserve(actions.size());
  for (auto& action : actions) {
    if (const auto* events = std::get_if<SendEvents>(&action)) {
      send_events(store_, *events, out);
    } else if (const auto* page = std::get_if<SendEventPage>(&action)) {
      send_event_page(store_, *page, out);
    } else if (const auto* models = std::get_if<SendModels>(&action)) {
      send_models(store_, *models, out);
    } else if (const auto* audit = std::get_if<SendAudit>(&action)) {
      send_audit(store_, *audit, out);
    } else {
      out.push_back(std::move(action));
    }
  }
  return out;
}

}  // namespace entente::broker
