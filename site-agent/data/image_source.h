// A folder of pictures, one subfolder for each class: kind "images". Subfolders are named like the
// classes in class_names; a class without one has no example here.
//
// To describe the dataset, pictures are counted; they are decoded when it is loaded.
#pragma once

#include "site-agent/data/source.h"

namespace entente::agent {

[[nodiscard]] Expected<std::unique_ptr<Source>> open_images(const DatasetConfig& config,
                                                            Purpose purpose);

}  // namespace entente::agent
