#include "tests/support/wait.h"

#include <stdexcept>
#include <thread>

namespace entente::integration {

void wait_until(const std::string& what, const std::function<bool()>& is_so,
                std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds kLookEvery{20};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw std::runtime_error("waited in vain until " + what);
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace entente::integration
