#include "common/base/check.h"
#include "site-agent/core/agent_core.h"

namespace entente::agent {

void AgentCore::on(const event::PlaceTaken&) {
  if (place_ == Place::sought) {
    place_ = Place::taken;
  } else {
    effects_.push_back(effect::LeavePlace{});  // what wanted it has ended in the meantime
  }
}

void AgentCore::on(const event::WarmPlacesFull& event) {
  const auto found = trainers_.find(event.trainer);
  if (found != trainers_.end() && found->second.state == TrainerState::idle) {
    stop_trainer(event.trainer);
  }
}

// Whether there is a place for this trainer, or for one that is not started yet. If not, one is
// asked for.
bool AgentCore::may_compute(const Trainer& trainer) {
  if (!settings_.shares_trainer_pool || trainer.has_place || place_ == Place::taken) {
    return true;
  }
  place_wanted_ = true;
  return false;
}

void AgentCore::compute_in_place(Trainer& trainer) {
  if (settings_.shares_trainer_pool && !trainer.has_place) {
    ENTENTE_CHECK(place_ == Place::taken);
    place_ = Place::unasked;
    trainer.has_place = true;
  }
}

// At the end of a step: whoever has nothing to compute in its place gives it back.
void AgentCore::settle_places() {
  for (auto& [id, trainer] : trainers_) {
    if (trainer.state == TrainerState::idle && trainer.has_place) {
      trainer.has_place = false;
      effects_.push_back(effect::RestTrainer{id});
    }
  }
  if (place_wanted_ && place_ == Place::unasked) {
    place_ = Place::sought;
    effects_.push_back(effect::SeekPlace{});
  } else if (!place_wanted_ && place_ != Place::unasked) {
    place_ = Place::unasked;
    effects_.push_back(effect::LeavePlace{});
  }
}

}  // namespace entente::agent
