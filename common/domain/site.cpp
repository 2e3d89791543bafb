#include "common/domain/site.h"

#include <algorithm>

#include "common/base/limits.h"

namespace entente {

const DatasetAdvert* SiteAdvert::find(std::string_view dataset) const {
  const auto found =
      std::find_if(datasets.begin(), datasets.end(),
                   [&](const DatasetAdvert& advert) { return advert.name == dataset; });
  return found == datasets.end() ? nullptr : &*found;
}

bool is_jurisdiction(std::string_view text) {
  return !text.empty() && text.size() <= limits::kJurisdictionBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
         });
}

}  // namespace entente
