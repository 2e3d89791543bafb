// An update's file as a strategy reads it: as long as the model, whatever part of the model it has.
//
// Tensors that stay at the sites (common/domain/site_tensors.h) are 0 in every update: no rule,
// norm or distance sees them, and the model keeps their values. SCAFFOLD's updates have a second
// part, which is read in the same way under other names.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "broker/merge/strategies/update_values.h"
#include "common/domain/tensor_layout.h"
#include "common/tensors/update_file.h"

namespace entente::broker {

// Where the values of a stretch of the model lie in an update.
struct Piece {
  std::size_t start = 0;  // in the model
  std::size_t count = 0;
  std::size_t at = 0;  // in the update
};

// The model's tensors that an update has, under their names with `suffix`, in the model's order.
// What lies side by side in both is one piece.
[[nodiscard]] std::vector<Piece> pieces_of(const TensorLayout& model, const TensorLayout& update,
                                           std::string_view suffix);

class FileValues final : public UpdateValues {
 public:
  // `size`: values of the model. File and pieces are the caller's and stay where they are.
  FileValues(const UpdateFile& file, std::span<const Piece> pieces, std::size_t size)
      : file_(&file), pieces_(pieces), size_(size) {}
  [[nodiscard]] std::size_t size() const override { return size_; }
  [[nodiscard]] const float* block(std::size_t start, std::size_t count,
                                   float* scratch) const override;

 private:
  const UpdateFile* file_;
  std::span<const Piece> pieces_;
  std::size_t size_;
};

}  // namespace entente::broker
