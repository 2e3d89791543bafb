#include "site-agent/data/image_file.h"

#include <fmt/format.h>
#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>

#include "site-agent/data/byte_stream.h"
#include "site-agent/data/source.h"

namespace entente::agent {
namespace {

// A whole slide is cut into tiles before it is trained on.
constexpr std::uint64_t kFileBytesMax = 64 << 20;
constexpr std::uint64_t kPixelsMax = 32 << 20;

using Bytes = std::vector<unsigned char>;

struct Pixels {
  std::uint32_t height = 0;
  std::uint32_t width = 0;
  Bytes bytes{};  // {height, width, channels}
};

class Decoder {
 public:
  Decoder(std::string name, std::uint32_t channels) : name_(std::move(name)), channels_(channels) {}

  Expected<Pixels> decode(const Bytes& file) const {
    constexpr std::string_view kPng = "\x89PNG";
    constexpr std::string_view kJpeg = "\xff\xd8\xff";
    const std::string_view begin(reinterpret_cast<const char*>(file.data()),
                                 std::min<std::size_t>(file.size(), 4));
    return begin == kPng              ? decode_png(file)
           : begin.starts_with(kJpeg) ? decode_jpeg(file)
                                      : invalid("is neither PNG nor JPEG");
  }

 private:
  tl::unexpected<Refusal> invalid(std::string_view cause) const {
    return invalid_dataset(fmt::format("{}: {}", name_, cause),
                           "look at the picture; leave it out, or store it again");
  }

  Expected<Pixels> room_for(std::uint64_t height, std::uint64_t width) const {
    if (height == 0 || width == 0 || height > kPixelsMax || width > kPixelsMax ||
        height * width > kPixelsMax) {
      return invalid(fmt::format("is {} x {} pixels, at most {} million are possible", height,
                                 width, kPixelsMax >> 20));
    }
    return Pixels{static_cast<std::uint32_t>(height), static_cast<std::uint32_t>(width),
                  Bytes(height * width * channels_)};
  }

  Expected<Pixels> decode_png(const Bytes& file) const {
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    const std::unique_ptr<png_image, decltype(&png_image_free)> held(&image, png_image_free);
    if (::png_image_begin_read_from_memory(&image, file.data(), file.size()) == 0) {
      return invalid(image.message);
    }
    auto pixels = room_for(image.height, image.width);
    if (!pixels) {
      return pixels;
    }
    image.format = channels_ == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    const png_color black{0, 0, 0};
    if (::png_image_finish_read(&image, &black, pixels->bytes.data(), 0, nullptr) == 0) {
      return invalid(image.message);
    }
    return pixels;
  }

  Expected<Pixels> decode_jpeg(const Bytes& file) const {
    const std::unique_ptr<void, decltype(&tjDestroy)> decoder(::tjInitDecompress(), ::tjDestroy);
    int width = 0;
    int height = 0;
    int subsampling = 0;
    int colours = 0;
    if (::tjDecompressHeader3(decoder.get(), file.data(), file.size(), &width, &height,
                              &subsampling, &colours) != 0) {
      return invalid(::tjGetErrorStr2(decoder.get()));
    }
    auto pixels = room_for(static_cast<std::uint64_t>(height), static_cast<std::uint64_t>(width));
    if (!pixels) {
      return pixels;
    }
    if (::tjDecompress2(decoder.get(), file.data(), file.size(), pixels->bytes.data(), width, 0,
                        height, channels_ == 1 ? TJPF_GRAY : TJPF_RGB,
                        TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING) != 0) {
      return invalid(::tjGetErrorStr2(decoder.get()));
    }
    return pixels;
  }

  std::string name_;
  std::uint32_t channels_;
};

// Which pixels of a line, and how much of each, make one pixel of a longer or shorter line.
struct Share {
  std::size_t first = 0;
  std::vector<float> weights{};
};

std::vector<Share> shares_of(std::uint32_t from, std::uint32_t to) {
  const double scale = static_cast<double>(from) / to;
  const double reach = std::max(scale, 1.0);
  std::vector<Share> shares(to);
  for (std::uint32_t i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    const auto first = static_cast<std::size_t>(std::max(0.0, centre - reach + 0.5));
    const auto last = std::min<std::size_t>(from, static_cast<std::size_t>(centre + reach + 0.5));
    double sum = 0;
    std::vector<double> weights;
    for (std::size_t at = first; at < last; ++at) {
      const double distance = std::abs((static_cast<double>(at) + 0.5 - centre) / reach);
      weights.push_back(std::max(0.0, 1 - distance));
      sum += weights.back();
    }
    shares[i].first = first;
    for (const double weight : weights) {
      shares[i].weights.push_back(static_cast<float>(weight / sum));
    }
  }
  return shares;
}

// One pixel of a line whose pixels lie `stride` values apart.
float mix(const Share& share, const float* line, std::size_t stride) {
  float sum = 0;
  for (std::size_t i = 0; i < share.weights.size(); ++i) {
    sum += share.weights[i] * line[(share.first + i) * stride];
  }
  return sum;
}

}  // namespace

Expected<Picture> read_picture(const std::filesystem::path& path, const std::string& name,
                               std::uint32_t channels) {
  const auto stream = open_file(path);
  if (!stream) {
    return refuse(stream.error().code, fmt::format("{}: cannot be opened", name),
                  "see that the agent's user can read it", Scope::site);
  }
  const auto size = (*stream)->size();
  if (size > kFileBytesMax) {
    return invalid_dataset(fmt::format("{}: has {} bytes, at most {} MiB are possible", name, size,
                                       kFileBytesMax >> 20));
  }
  Bytes file(size);
  if (!(*stream)->read(std::as_writable_bytes(std::span(file)))) {
    return invalid_dataset(fmt::format("{}: cannot be read to its end", name));
  }
  const auto pixels = Decoder(name, channels).decode(file);
  if (!pixels) {
    return tl::unexpected(pixels.error());
  }
  Picture picture{channels, pixels->height, pixels->width, {}};
  const std::size_t area = std::size_t{pixels->height} * pixels->width;
  picture.values.resize(area * channels);
  for (std::size_t i = 0; i < area; ++i) {
    for (std::uint32_t channel = 0; channel < channels; ++channel) {
      picture.values[channel * area + i] =
          static_cast<float>(pixels->bytes[i * channels + channel]) / 255.0F;
    }
  }
  return picture;
}

Picture resized(const Picture& picture, std::uint32_t height, std::uint32_t width) {
  if (picture.height == height && picture.width == width) {
    return picture;
  }
  const auto across = shares_of(picture.width, width);
  const auto down = shares_of(picture.height, height);
  Picture result{picture.channels, height, width, {}};
  result.values.reserve(std::size_t{picture.channels} * height * width);
  std::vector<float> narrowed(std::size_t{picture.height} * width);
  for (std::uint32_t channel = 0; channel < picture.channels; ++channel) {
    const float* plane =
        picture.values.data() + std::size_t{channel} * picture.height * picture.width;
    for (std::uint32_t y = 0; y < picture.height; ++y) {
      for (std::uint32_t x = 0; x < width; ++x) {
        narrowed[std::size_t{y} * width + x] =
            mix(across[x], plane + std::size_t{y} * picture.width, 1);
      }
    }
    for (std::uint32_t y = 0; y < height; ++y) {
      for (std::uint32_t x = 0; x < width; ++x) {
        result.values.push_back(mix(down[y], narrowed.data() + x, width));
      }
    }
  }
  return result;
}

}  // namespace entente::agent
