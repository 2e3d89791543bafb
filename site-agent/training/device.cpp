#include "site-agent/training/device.h"

#include <fmt/format.h>

#include <charconv>

#include "common/base/quote.h"

namespace entente::agent {
namespace {

constexpr std::string_view kCudaPrefix = "cuda:";

tl::unexpected<Refusal> unavailable(std::string message) {
  return refuse("device_unavailable", std::move(message),
                "set the device in agent.toml to \"cpu\", \"auto\" or an existing \"cuda:N\"",
                Scope::site);
}

}  // namespace

Expected<torch::Device> choose_device(const std::string& name) {
  const int gpus = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (name == "cpu" || (name == "auto" && gpus == 0)) {
    return torch::Device(torch::kCPU);
  }
  if (name == "auto") {
    return torch::Device(torch::kCUDA, 0);
  }
  int index = 0;
  const char* const end = name.data() + name.size();
  if (!name.starts_with(kCudaPrefix) || name.size() == kCudaPrefix.size() ||
      std::from_chars(name.data() + kCudaPrefix.size(), end, index).ptr != end || index < 0) {
    return unavailable(fmt::format("device {} is unknown", quote(name)));
  }
  if (index >= gpus) {
    return unavailable(
        fmt::format("device {} is not there, LibTorch sees {} GPUs", quote(name), gpus));
  }
  return torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(index));
}

void use_threads(std::uint32_t threads) { at::set_num_threads(static_cast<int>(threads)); }

void use_deterministic_algorithms() {
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
}

}  // namespace entente::agent
