// Makes a model smaller: takes whole units away from its linear layers and whole channels from its
// conv2d layers, those with the smallest weights, and what reads them from the layers that follow
// (Li et al. 2017, "Pruning Filters for Efficient ConvNets", arXiv:1608.08710).
//
//  - A unit's weight is the sum of the magnitudes of what it computes from: its row, or its filter.
//  - Each layer loses the same share of its units, and keeps one at least.
//  - The last layer with weights keeps all: its outputs are what the model answers with.
//  - The smaller model computes what the whole one would if nobody read the units that are gone.
//
// Layers must follow one another, each unit on a way of its own from the layer that computes it to
// the next one that has weights: activations, pooling, flatten, dropout and batch_norm lie on such
// a way; blocks, recurrent layers, attention, layer_norm and group_norm do not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "common/base/refusal.h"
#include "common/domain/model_spec.h"
#include "common/tensors/safetensors.h"

namespace entente {

struct UnitsPruned {
  struct Layer {
    std::string name;
    std::uint64_t units = 0;
    std::uint64_t kept = 0;
  };
  ModelSpec model;            // the smaller one's declaration
  std::vector<Layer> layers;  // those that have lost units
  std::uint64_t values = 0;   // in the file
  std::uint64_t values_kept = 0;
};

// Writes the smaller model to `to`; `from` holds the tensors of `model`, in any order. Refuses with
// "share_invalid" a share that is not at least 0 and below 1, with "model_unsuitable" a model that
// has layers of which no unit can be taken away, naming the first, or none to take any from, and
// with "layout_mismatch" a file of another model. Holds one tensor in memory. Throws
// std::system_error when `to` cannot be written.
[[nodiscard]] Expected<UnitsPruned> prune_units(const TensorFile& from, const ModelSpec& model,
                                                double share, const std::filesystem::path& to);

}  // namespace entente
