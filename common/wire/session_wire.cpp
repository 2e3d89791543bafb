#include "common/wire/session_wire.h"

#include <fmt/format.h>

#include <set>
#include <string_view>

#include "common/base/limits.h"
#include "common/wire/values.h"

namespace entente::wire {

// Static, since in an unnamed namespace these overloads would hide those of the headers.

static std::vector<std::string> read_capabilities(capnp::List<capnp::Text>::Reader from) {
  return read_list<std::string>(from, kCapabilitiesMax, "capabilities",
                                [](auto name) { return label(view(name), "capability"); });
}

// A list of texts that describe, none of them twice.
template <class Check>
static std::vector<std::string> read_distinct(capnp::List<capnp::Text>::Reader from,
                                              std::size_t max, std::string_view what, Check check) {
  auto texts =
      read_list<std::string>(from, max, what, [&](auto item) { return check(view(item), what); });
  std::set<std::string_view> seen;
  for (const std::string& item : texts) {
    if (!seen.insert(item).second) {
      illegal(what, fmt::format("\"{}\" twice", item));
    }
  }
  return texts;
}

static void write(const DatasetAdvert& dataset, schema::DatasetAdvert::Builder to) {
  to.setName(text(dataset.name));
  to.setKind(text(dataset.kind));
  to.setExamples(dataset.examples);
  write_shape(dataset.example_shape,
              to.initExampleShape(static_cast<unsigned>(dataset.example_shape.size())));
  to.setClasses(dataset.classes);
  if (!dataset.class_names.empty()) {
    write_texts(dataset.class_names,
                to.initClassNames(static_cast<unsigned>(dataset.class_names.size())));
  }
  if (!dataset.tags.empty()) {
    write_texts(dataset.tags, to.initTags(static_cast<unsigned>(dataset.tags.size())));
  }
  if (!dataset.features.empty()) {
    write_texts(dataset.features, to.initFeatures(static_cast<unsigned>(dataset.features.size())));
  }
  to.setTargets(dataset.targets);
  to.setVocabulary(dataset.vocabulary);
}

static DatasetAdvert read(schema::DatasetAdvert::Reader from) {
  DatasetAdvert dataset{
      .name = label(view(from.getName()), "dataset.name"),
      .kind = label(view(from.getKind()), "dataset.kind"),
      .examples = at_most(from.getExamples(), limits::kExamplesMax, "dataset.examples"),
      .example_shape = read_shape(from.getExampleShape(), "dataset.exampleShape"),
      .classes = from.getClasses(),
      .class_names =
          read_distinct(from.getClassNames(), limits::kClassNamesMax, "dataset.classNames", label),
      .tags = read_distinct(from.getTags(), limits::kTagsPerDatasetMax, "dataset.tags", name_text),
      .features =
          read_distinct(from.getFeatures(), limits::kFeatureNamesMax, "dataset.features", label),
      .targets = at_most_32(from.getTargets(), limits::kTargetsMax, "dataset.targets"),
      .vocabulary = at_most_32(from.getVocabulary(), limits::kVocabularyMax, "dataset.vocabulary"),
  };
  if (!dataset.class_names.empty() && dataset.class_names.size() != dataset.classes) {
    illegal("dataset.classNames", fmt::format("has {} entries for {} classes",
                                              dataset.class_names.size(), dataset.classes));
  }
  return dataset;
}

static void write(const Resources& resources, schema::Resources::Builder to) {
  to.setCores(resources.cores);
  to.setMemoryBytes(resources.memory_bytes);
  to.setGpus(resources.gpus);
}

static Resources read(schema::Resources::Reader from) {
  return Resources{
      .cores = at_most_32(from.getCores(), limits::kCoresMax, "resources.cores"),
      .memory_bytes =
          at_most(from.getMemoryBytes(), limits::kMemoryBytesMax, "resources.memoryBytes"),
      .gpus = at_most_32(from.getGpus(), limits::kGpusMax, "resources.gpus"),
  };
}

static std::string read_jurisdiction(std::string_view text) {
  if (!text.empty() && !is_jurisdiction(text)) {
    illegal("advert.jurisdiction",
            fmt::format("is not up to {} bytes of [A-Z0-9-]", limits::kJurisdictionBytesMax));
  }
  return std::string(text);
}

static std::map<std::string, std::string> read_labels(capnp::List<schema::Label>::Reader from) {
  check_count(from.size(), limits::kLabelsPerSiteMax, "advert.labels");
  std::map<std::string, std::string> labels;
  for (const auto item : from) {
    auto key = name_text(view(item.getKey()), "label.key");
    if (!labels.empty() && key <= labels.rbegin()->first) {
      illegal("advert.labels", "are not in ascending order of their keys");
    }
    labels.emplace(std::move(key), label(view(item.getValue()), "label.value"));
  }
  return labels;
}

void write(const msg::Hello& hello, schema::Hello::Builder to) {
  to.setProtocolMin(hello.protocol_min);
  to.setProtocolMax(hello.protocol_max);
  to.setVersion(text(hello.version));
  to.setInstance(hello.instance);
  write_texts(hello.capabilities,
              to.initCapabilities(static_cast<unsigned>(hello.capabilities.size())));
}

msg::Hello read(schema::Hello::Reader from) {
  msg::Hello hello{
      .protocol_min = from.getProtocolMin(),
      .protocol_max = from.getProtocolMax(),
      .version = label_or_empty(view(from.getVersion()), "hello.version"),
      .instance = from.getInstance(),
      .capabilities = read_capabilities(from.getCapabilities()),
  };
  if (hello.protocol_min < 1 || hello.protocol_min > hello.protocol_max) {
    illegal("hello.protocol",
            fmt::format("is the empty range {}..{}", hello.protocol_min, hello.protocol_max));
  }
  return hello;
}

void write(const msg::Welcome& welcome, schema::Welcome::Builder to) {
  to.setProtocol(welcome.protocol);
  to.setSession(welcome.session);
  to.setBroker(text(welcome.broker));
  to.setVersion(text(welcome.version));
  write_texts(welcome.capabilities,
              to.initCapabilities(static_cast<unsigned>(welcome.capabilities.size())));
}

msg::Welcome read(schema::Welcome::Reader from) {
  if (from.getProtocol() < 1) {
    illegal("welcome.protocol", "is 0");
  }
  return msg::Welcome{
      .protocol = from.getProtocol(),
      .session = from.getSession(),
      .broker = name_text_or_empty(view(from.getBroker()), "welcome.broker"),
      .version = label_or_empty(view(from.getVersion()), "welcome.version"),
      .capabilities = read_capabilities(from.getCapabilities()),
  };
}

void write(const msg::Refused& refused, schema::Refused::Builder to) {
  write(refused.reason, to.initReason());
}

msg::Refused read(schema::Refused::Reader from) { return msg::Refused{read(from.getReason())}; }

void write(const SiteAdvert& advert, schema::SiteAdvert::Builder to) {
  write_list(
      advert.datasets, [&](unsigned count) { return to.initDatasets(count); },
      [](const auto& dataset, auto item) { write(dataset, item); });
  to.setSlots(advert.slots);
  to.setThreadsPerSlot(advert.threads_per_slot);
  to.setVersion(text(advert.version));
  write(advert.resources, to.initResources());
  to.setJurisdiction(text(advert.jurisdiction));
  write_list(
      advert.labels, [&](unsigned count) { return to.initLabels(count); },
      [](const auto& entry, auto item) {
        item.setKey(text(entry.first));
        item.setValue(text(entry.second));
      });
  to.setPolicy(text(prose(advert.policy)));
  to.setPaused(advert.paused);
  to.setPauseReason(text(prose(advert.pause_reason)));
}

SiteAdvert read(schema::SiteAdvert::Reader from) {
  SiteAdvert advert{
      .datasets = read_list<DatasetAdvert>(from.getDatasets(), limits::kDatasetsPerSiteMax,
                                           "advert.datasets", [](auto item) { return read(item); }),
      .slots = at_most_32(from.getSlots(), kSlotsMax, "advert.slots"),
      .threads_per_slot = at_most_32(from.getThreadsPerSlot(), kSlotsMax, "advert.threadsPerSlot"),
      .version = label_or_empty(view(from.getVersion()), "advert.version"),
      .resources = read(from.getResources()),
      .jurisdiction = read_jurisdiction(view(from.getJurisdiction())),
      .labels = read_labels(from.getLabels()),
      .policy = prose(view(from.getPolicy())),
      .paused = from.getPaused(),
      .pause_reason = prose(view(from.getPauseReason())),
  };
  std::set<std::string_view> names;
  for (const DatasetAdvert& dataset : advert.datasets) {
    if (!names.insert(dataset.name).second) {
      illegal("advert.datasets", fmt::format("name \"{}\" twice", dataset.name));
    }
  }
  return advert;
}

void write(const msg::Advert& advert, schema::Advert::Builder to) {
  write(advert.advert, to.initAdvert());
}

msg::Advert read(schema::Advert::Reader from) { return msg::Advert{read(from.getAdvert())}; }

}  // namespace entente::wire
