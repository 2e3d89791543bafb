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

static void write(const DatasetAdvert& dataset, schema::DatasetAdvert::Builder to) {
  to.setName(text(dataset.name));
  to.setKind(text(dataset.kind));
  to.setExamples(dataset.examples);
  write_shape(dataset.example_shape,
              to.initExampleShape(static_cast<unsigned>(dataset.example_shape.size())));
  to.setClasses(dataset.classes);
}

static DatasetAdvert read(schema::DatasetAdvert::Reader from) {
  return DatasetAdvert{
      .name = label(view(from.getName()), "dataset.name"),
      .kind = label(view(from.getKind()), "dataset.kind"),
      .examples = at_most(from.getExamples(), limits::kExamplesMax, "dataset.examples"),
      .example_shape = read_shape(from.getExampleShape(), "dataset.exampleShape"),
      .classes = from.getClasses(),
  };
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
}

SiteAdvert read(schema::SiteAdvert::Reader from) {
  SiteAdvert advert{
      .datasets = read_list<DatasetAdvert>(from.getDatasets(), limits::kDatasetsPerSiteMax,
                                           "advert.datasets", [](auto item) { return read(item); }),
      .slots = at_most_32(from.getSlots(), kSlotsMax, "advert.slots"),
      .threads_per_slot = at_most_32(from.getThreadsPerSlot(), kSlotsMax, "advert.threadsPerSlot"),
      .version = label_or_empty(view(from.getVersion()), "advert.version"),
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
