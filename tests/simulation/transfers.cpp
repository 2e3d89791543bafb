#include "tests/simulation/transfers.h"

#include "tests/simulation/fake_training.h"

namespace entente::simulation {
namespace {

constexpr std::uint64_t kSteps = 3;
constexpr Millis kStepMax{4000};

Refusal refusal_of(const std::string& code) {
  return {code, "the transfer ended: " + code, "", Scope::task};
}

}  // namespace

void Transfers::start(std::shared_ptr<Transfer> transfer) {
  world_.timeline.after(network_.latency(), [this, transfer = std::move(transfer)] {
    if (transfer->is_wanted()) {
      begin(transfer);
    }
  });
}

void Transfers::begin(const std::shared_ptr<Transfer>& transfer) {
  if (transfer->is_stopped) {
    end(transfer, Millis(0), refusal_of("stopped"));
  } else if (!broker_.is_awake() || !transfer->is_reachable() || transfer->is_cut) {
    end_cut(transfer);
  } else if (transfer->is_upload && !transfer->has_blob()) {
    end(transfer, Millis(0), refusal_of("blob_missing"));
  } else if (transfer->is_upload ? !broker_.may_put(transfer->peer, transfer->blob)
                                 : !broker_.may_get(transfer->peer, transfer->blob)) {
    end(transfer, network_.latency(), refusal_of("not_granted"));
  } else if (!transfer->is_upload && !broker_.vouch_for(transfer->blob)) {
    end(transfer, network_.latency(), refusal_of("blob_missing"));
  } else if (transfer->is_upload && broker_.has_of(transfer->peer, transfer->blob)) {
    complete(transfer, broker_.life());
  } else {
    move(transfer, broker_.life(), 1);
  }
}

void Transfers::move(const std::shared_ptr<Transfer>& transfer, std::uint64_t broker_life,
                     std::uint64_t step) {
  world_.timeline.after(world_.random.between(Millis(1), kStepMax), [=, this] {
    if (!transfer->is_wanted()) {
      return;
    }
    if (transfer->is_stopped) {
      end(transfer, Millis(0), refusal_of("stopped"));
      return;
    }
    if (!broker_.is_awake() || broker_.life() != broker_life || !transfer->is_reachable() ||
        transfer->is_cut) {
      end_cut(transfer);
      return;
    }
    broker_.moved(transfer->peer, transfer->blob, kBlobBytes * step / kSteps);
    transfer->on_moved(kBlobBytes * step / kSteps, kBlobBytes);
    if (step < kSteps) {
      move(transfer, broker_life, step + 1);
    } else {
      complete(transfer, broker_life);
    }
  });
}

// The blob is stored, or refused, before either side hears of it; the answer may still be cut off.
void Transfers::complete(const std::shared_ptr<Transfer>& transfer, std::uint64_t broker_life) {
  if (!broker_.is_awake() || broker_.life() != broker_life) {
    end_cut(transfer);
    return;
  }
  if (!transfer->is_upload) {
    end(transfer, network_.latency(), std::nullopt);
    return;
  }
  if (!broker_.may_put(transfer->peer, transfer->blob)) {
    end(transfer, network_.latency(), refusal_of("not_granted"));
    return;
  }
  const bool is_taken = broker_.take(transfer->peer, transfer->blob, transfer->is_poisoned);
  world_.timeline.after(network_.latency(), [=, this] {
    if (!transfer->is_wanted()) {
      return;
    }
    if (transfer->is_cut || broker_.life() != broker_life || !transfer->is_reachable()) {
      end_cut(transfer);
    } else {
      transfer->on_ended(is_taken ? std::nullopt : std::optional(refusal_of("not_finite")));
    }
  });
}

void Transfers::end(const std::shared_ptr<Transfer>& transfer, Millis pause,
                    std::optional<Refusal> refusal) {
  world_.timeline.after(pause, [transfer, refusal = std::move(refusal)] {
    if (transfer->is_wanted()) {
      transfer->on_ended(refusal);
    }
  });
}

// A dead connection is noticed at once or when a heartbeat is missed.
void Transfers::end_cut(const std::shared_ptr<Transfer>& transfer) {
  const auto pause = world_.random.chance(500) ? network_.latency()
                                               : world_.random.between(Millis(0), Millis(30'000));
  end(transfer, pause, refusal_of("transfer_cut"));
}

}  // namespace entente::simulation
