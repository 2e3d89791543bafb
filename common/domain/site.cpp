#include "common/domain/site.h"

#include <algorithm>

namespace entente {

const DatasetAdvert* SiteAdvert::find(std::string_view dataset) const {
  const auto found =
      std::find_if(datasets.begin(), datasets.end(),
                   [&](const DatasetAdvert& advert) { return advert.name == dataset; });
  return found == datasets.end() ? nullptr : &*found;
}

}  // namespace entente
