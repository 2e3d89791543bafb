#include "site-agent/training/examples.h"

namespace entente::agent {

Examples::Examples(Dataset dataset, torch::Device device)
    : dataset_(std::move(dataset)), device_(device) {
  std::vector<std::int64_t> shape{static_cast<std::int64_t>(dataset_.size())};
  shape.insert(shape.end(), dataset_.shape.begin(), dataset_.shape.end());
  features_ =
      (dataset_.vocabulary == 0 ? torch::from_blob(dataset_.features.data(), shape, torch::kFloat32)
                                : torch::from_blob(dataset_.tokens.data(), shape, torch::kInt64))
          .to(device);
  labels_ = (dataset_.targets == 0
                 ? torch::from_blob(dataset_.labels.data(), {shape.front()}, torch::kInt64)
                 : torch::from_blob(dataset_.values.data(), {shape.front(), dataset_.targets},
                                    torch::kFloat32))
                .to(device);
}

Examples::Batch Examples::pick(const torch::Tensor& indices) const {
  const auto here = indices.to(device_);
  return {features_.index_select(0, here), labels_.index_select(0, here)};
}

Examples::Batch Examples::slice(std::int64_t first, std::int64_t count) const {
  return {features_.narrow(0, first, count), labels_.narrow(0, first, count)};
}

}  // namespace entente::agent
