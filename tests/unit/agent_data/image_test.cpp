// Folders of pictures, and pictures that are damaged or claim to be larger than they are.
#include <png.h>
#include <turbojpeg.h>
#include <zlib.h>

#include <array>

#include "site-agent/data/image_file.h"
#include "tests/unit/agent_data/data_folder.h"

namespace entente::agent {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;

using Pixels = std::vector<unsigned char>;

class Images : public DataFolder {
 protected:
  // Red, green and blue by rows.
  std::filesystem::path png(const std::string& name, std::uint32_t height, std::uint32_t width,
                            const Pixels& pixels, std::uint32_t format = PNG_FORMAT_RGB) const {
    write(name, "");
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.height = height;
    image.width = width;
    image.format = format;
    EXPECT_NE(
        ::png_image_write_to_file(&image, (folder_ / name).c_str(), 0, pixels.data(), 0, nullptr),
        0)
        << image.message;
    return folder_ / name;
  }

  std::filesystem::path jpeg(const std::string& name, int height, int width,
                             const Pixels& pixels) const {
    unsigned char* bytes = nullptr;
    unsigned long size = 0;
    tjhandle encoder = ::tjInitCompress();
    EXPECT_EQ(::tjCompress2(encoder, pixels.data(), width, 0, height, TJPF_RGB, &bytes, &size,
                            TJSAMP_444, 95, TJFLAG_ACCURATEDCT),
              0);
    const auto path = write(name, {reinterpret_cast<const char*>(bytes), size});
    ::tjFree(bytes);
    ::tjDestroy(encoder);
    return path;
  }

  [[nodiscard]] DatasetConfig config(std::uint32_t height, std::uint32_t width) const {
    DatasetConfig config;
    config.name = "pictures";
    config.source = ImageFolder{folder_ / "pictures", 3, height, width};
    config.class_names = {"cat", "dog", "owl"};
    return config;
  }

  static std::string refusal_of(const std::filesystem::path& path) {
    const auto picture = read_picture(path, path.filename(), 3);
    EXPECT_FALSE(picture);
    return picture ? "" : picture.error().message;
  }

  inline static const Pixels kTwoPixels{255, 0, 51, 0, 255, 102};
};

TEST_F(Images, OfAClassLieInItsFolder) {
  png("pictures/dog/b.png", 1, 2, kTwoPixels);
  png("pictures/dog/a.PNG", 1, 2, Pixels(6, 51));
  png("pictures/cat/c.png", 1, 2, Pixels(6, 255));
  write("pictures/dog/notes.txt", "no picture");
  const auto data = load(config(1, 2));
  EXPECT_THAT(data.shape, ElementsAre(3, 1, 2));
  EXPECT_THAT(data.labels, ElementsAre(0, 1, 1));
  EXPECT_THAT(data.class_counts(), ElementsAre(1, 2, 0)) << "no owl at this site";
  EXPECT_EQ(data.features[0], 1.0F);
  EXPECT_EQ(data.features[6], 0.2F);
  const std::vector<float> last(data.features.end() - 6, data.features.end());
  EXPECT_THAT(last, ElementsAre(1, 0, 0, 1, 0.2F, 0.4F)) << "channel by channel";
  const auto advert = describe_dataset(config(1, 2));
  ASSERT_TRUE(advert) << advert.error().message;
  EXPECT_EQ(advert->kind, "images");
  EXPECT_EQ(advert->examples, 3U);
  EXPECT_EQ(advert->example_shape, data.shape);
}

TEST_F(Images, MayBeJpegAndGrey) {
  const auto colour = read_picture(jpeg("a.jpg", 8, 8, Pixels(8 * 8 * 3, 128)), "a.jpg", 3);
  ASSERT_TRUE(colour) << colour.error().message;
  EXPECT_EQ(colour->values.size(), 192U);
  EXPECT_THAT(colour->values, testing::Each(FloatNear(128 / 255.0F, 0.01F)));
  const auto grey = read_picture(folder_ / "a.jpg", "a.jpg", 1);
  ASSERT_TRUE(grey);
  EXPECT_EQ(grey->values.size(), 64U);
  const auto clear =
      read_picture(png("clear.png", 1, 1, {255, 255, 255, 0}, PNG_FORMAT_RGBA), "clear.png", 1);
  ASSERT_TRUE(clear);
  EXPECT_THAT(clear->values, ElementsAre(0)) << "transparent is black";
}

TEST_F(Images, OfAnotherSizeAreRefusedOrResized) {
  png("pictures/cat/a.png", 2, 2, Pixels(12, 0));
  png("pictures/cat/wide.png", 1, 2, kTwoPixels);
  auto wanted = config(2, 2);
  EXPECT_EQ(refusal(wanted), "cat, picture 2: is 1 x 2 pixels, the dataset's pictures are 2 x 2");
  std::filesystem::remove(folder_ / "pictures/cat/a.png");
  std::get<ImageFolder>(wanted.source).resize = true;
  EXPECT_THAT(load(wanted).features, ElementsAre(1, 0, 1, 0, 0, 1, 0, 1, 0.2F, 0.4F, 0.2F, 0.4F));
}

// By hand: the centre of the first of two pixels over four lies at 1, the triangle reaches 2 to
// either side, and the pixels at 0.5, 1.5 and 2.5 weigh 3, 3 and 1.
TEST(Resized, PixelsAreWeighedByATriangle) {
  const Picture line{1, 1, 4, {0, 7, 14, 21}};
  EXPECT_THAT(resized(line, 1, 2).values, ElementsAre(FloatNear(5, 1e-5F), FloatNear(16, 1e-5F)));
  const Picture column{1, 4, 1, {0, 7, 14, 21}};
  EXPECT_EQ(resized(column, 2, 1).values, resized(line, 1, 2).values);
  for (const std::uint32_t size : {1U, 3U, 7U, 50U}) {
    const Picture flat{3, 10, 13, std::vector<float>(390, 0.25F)};
    EXPECT_THAT(resized(flat, size, size + 1).values, testing::Each(FloatNear(0.25F, 1e-6F)));
  }
}

TEST_F(Images, ThatAreDamagedAreNamed) {
  EXPECT_EQ(refusal_of(write("a.png", "GIF89a")), "a.png: is neither PNG nor JPEG");
  EXPECT_EQ(refusal_of(write("empty.png", "")), "empty.png: is neither PNG nor JPEG");
  EXPECT_THAT(refusal_of(folder_ / "gone.png"), HasSubstr("gone.png: cannot be opened"));
  for (const auto& path :
       {png("b.png", 20, 20, Pixels(1200, 77)), jpeg("b.jpg", 20, 20, Pixels(1200, 77))}) {
    for (auto bytes = std::filesystem::file_size(path) / 2; bytes > 0; bytes /= 2) {
      std::filesystem::resize_file(path, bytes);
      EXPECT_THAT(refusal_of(path), HasSubstr(path.filename().string()));
    }
  }
}

TEST_F(Images, AHeaderCannotAskForMemory) {
  const auto patch = [&](const std::filesystem::path& path, std::streamoff at,
                         std::string_view bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  };
  const auto bomb = png("bomb.png", 1, 1, {1, 2, 3});
  const std::string header = std::string("IHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0", 17);
  const auto crc = ::crc32(0, reinterpret_cast<const unsigned char*>(header.data()), 17);
  std::string bytes = header;
  for (const int shift : {24, 16, 8, 0}) {
    bytes += static_cast<char>(crc >> shift & 0xff);
  }
  patch(bomb, 12, bytes);
  EXPECT_EQ(refusal_of(bomb), "bomb.png: is 65535 x 65535 pixels, at most 32 million are possible");

  const auto photo = jpeg("bomb.jpg", 8, 8, Pixels(192, 1));
  std::ifstream file(photo, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  const auto frame = whole.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  patch(photo, static_cast<std::streamoff>(frame + 5), std::string_view("\xff\x00\xff\x00", 4));
  EXPECT_EQ(refusal_of(photo),
            "bomb.jpg: is 65280 x 65280 pixels, at most 32 million are possible");
}

TEST_F(Images, FoldersThatAreNoClassAreNamed) {
  png("pictures/cat/a.png", 1, 2, kTwoPixels);
  png("pictures/fish/a.png", 1, 2, kTwoPixels);
  EXPECT_EQ(refusal(config(1, 2)), "pictures has a folder \"fish\", which is none of class_names");
  auto unnamed = config(1, 2);
  unnamed.class_names.clear();
  EXPECT_THAT(refusal(unnamed), HasSubstr("class_names is empty"));
  auto gone = config(1, 2);
  std::get<ImageFolder>(gone.source).folder = folder_ / "gone";
  EXPECT_EQ(refusal(gone), "cannot open gone: No such file or directory");
}

}  // namespace
}  // namespace entente::agent
