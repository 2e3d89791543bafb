#include "tests/simulation/trace_text.h"

#include <fmt/format.h>

namespace entente::simulation {
namespace {

struct Words {
  std::string operator()(const msg::Hello&) const { return "Hello"; }
  std::string operator()(const msg::Welcome&) const { return "Welcome"; }
  std::string operator()(const msg::Refused& it) const { return "Refused " + it.reason.code; }
  std::string operator()(const msg::Advert&) const { return "Advert"; }
  std::string operator()(const msg::JobOffer& it) const { return "JobOffer " + it.job.str(); }
  std::string operator()(const msg::JobReply& it) const {
    return fmt::format("JobReply {} {}", it.job.str(), it.decline ? it.decline->code : "accepts");
  }
  std::string operator()(const msg::JobClosed& it) const { return "JobClosed " + it.job.str(); }
  std::string operator()(const msg::JobPaused& it) const { return "JobPaused " + it.job.str(); }
  std::string operator()(const msg::JobWaits& it) const {
    return fmt::format("JobWaits {} {}", it.job.str(), it.reason);
  }
  std::string operator()(const msg::TaskOffer& it) const {
    return "TaskOffer " + text_of(it.order.key);
  }
  std::string operator()(const msg::TaskReport& it) const {
    return "TaskReport " + text_of(it.key);
  }
  std::string operator()(const msg::ResultAnnounce& it) const {
    return fmt::format("ResultAnnounce {} {}", text_of(it.key),
                       it.result.blob ? it.result.blob->short_hex() : "metrics");
  }
  std::string operator()(const msg::ResultGrant& it) const {
    return "ResultGrant " + text_of(it.key);
  }
  std::string operator()(const msg::ResultVerdict& it) const {
    return fmt::format("ResultVerdict {} {}", text_of(it.key),
                       it.refusal ? it.refusal->code : "accepted");
  }
  std::string operator()(const msg::TaskFailed& it) const {
    return fmt::format("TaskFailed {} {}{}", text_of(it.key), it.failure.reason.code,
                       it.failure.transient ? " (transient)" : "");
  }
  std::string operator()(const msg::Request& it) const {
    return fmt::format("Request {} kind {}", it.id, it.body.index());
  }
  std::string operator()(const msg::Reply& it) const {
    const auto* refusal = std::get_if<Refusal>(&it.body);
    return fmt::format("Reply {} {}", it.id, refusal != nullptr ? refusal->message : "");
  }
  std::string operator()(const msg::JobUpdate& it) const {
    return fmt::format("JobUpdate {} {} events{}", it.summary.id.str(), it.events.size(),
                       it.events.empty() ? "" : ": " + it.events.back().text);
  }
};

}  // namespace

std::string text_of(const msg::Control& message) { return std::visit(Words{}, message); }

std::string text_of(const TaskKey& key) {
  return fmt::format("{}/{}/{}/{}#{}", key.job.str(), key.round, to_string(key.kind),
                     key.site.str(), key.attempt);
}

}  // namespace entente::simulation
