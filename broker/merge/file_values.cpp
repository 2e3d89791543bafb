#include "broker/merge/file_values.h"

#include <algorithm>
#include <map>
#include <string>

namespace entente::broker {

std::vector<Piece> pieces_of(const TensorLayout& model, const TensorLayout& update,
                             std::string_view suffix) {
  std::map<std::string_view, std::size_t> places;
  std::size_t at = 0;
  for (const TensorInfo& tensor : update.tensors) {
    places.emplace(tensor.name, at);
    at += tensor.elements();
  }
  std::vector<Piece> pieces;
  std::size_t start = 0;
  for (const TensorInfo& tensor : model.tensors) {
    const std::size_t count = tensor.elements();
    const auto place = places.find(tensor.name + std::string(suffix));
    if (place != places.end() && count > 0) {
      Piece* const last = pieces.empty() ? nullptr : &pieces.back();
      if (last != nullptr && last->start + last->count == start &&
          last->at + last->count == place->second) {
        last->count += count;
      } else {
        pieces.push_back({start, count, place->second});
      }
    }
    start += count;
  }
  return pieces;
}

const float* FileValues::block(std::size_t start, std::size_t count, float* scratch) const {
  const std::size_t end = start + count;
  auto piece = std::ranges::partition_point(
      pieces_, [&](const Piece& before) { return before.start + before.count <= start; });
  if (piece != pieces_.end() && piece->start <= start && end <= piece->start + piece->count) {
    return file_->read(piece->at + start - piece->start, {scratch, count});
  }
  std::fill_n(scratch, count, 0.0F);
  for (; piece != pieces_.end() && piece->start < end; ++piece) {
    const std::size_t first = std::max(start, piece->start);
    const std::size_t last = std::min(end, piece->start + piece->count);
    const std::span<float> part(scratch + (first - start), last - first);
    const float* const values = file_->read(piece->at + first - piece->start, part);
    if (values != part.data()) {
      std::copy_n(values, part.size(), part.data());
    }
  }
  return scratch;
}

}  // namespace entente::broker
