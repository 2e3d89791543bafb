// The canonical form's own rules (see schemas/job.capnp) are kept here: lists and optional texts
// are null when empty, and no zero is negative.
#include "common/wire/job_wire.h"

#include <fmt/format.h>

#include <type_traits>

#include "common/base/limits.h"
#include "common/wire/enumerations.h"
#include "common/wire/job_parts_wire.h"
#include "common/wire/selection_wire.h"
#include "common/wire/statistics_wire.h"
#include "common/wire/values.h"

namespace entente::wire {

// Static, since in an unnamed namespace these overloads would hide those of the headers.

static void write(const std::string& name, const Attribute& attribute,
                  schema::Attribute::Builder to) {
  to.setName(text(name));
  auto value = to.initValue();
  std::visit(
      [&](const auto& content) {
        using Content = std::decay_t<decltype(content)>;
        if constexpr (std::is_same_v<Content, bool>) {
          value.setFlag(content);
        } else if constexpr (std::is_same_v<Content, std::int64_t>) {
          value.setInteger(content);
        } else if constexpr (std::is_same_v<Content, double>) {
          value.setReal(unsigned_zero(content));
        } else {
          value.setText(text(content));
        }
      },
      attribute);
}

static Attribute read(schema::Attribute::Value::Reader from) {
  switch (from.which()) {
    case schema::Attribute::Value::FLAG:
      return from.getFlag();
    case schema::Attribute::Value::INTEGER:
      return from.getInteger();
    case schema::Attribute::Value::REAL:
      return finite(from.getReal(), "attribute.real");
    case schema::Attribute::Value::TEXT:
      return label_or_empty(view(from.getText()), "attribute.text");
  }
  illegal("attribute.value", "is of an unknown type");
}

// Fills the list that `init(count)` makes.
template <class Init>
static void write_attributes(const Attributes& attributes, Init init) {
  write_list(attributes, init, [](const auto& attribute, auto item) {
    write(attribute.first, attribute.second, item);
  });
}

static Attributes read_attributes(capnp::List<schema::Attribute>::Reader from,
                                  std::string_view what) {
  check_count(from.size(), kAttributesMax, what);
  Attributes attributes;
  for (const auto attribute : from) {
    const auto [place, inserted] = attributes.emplace(
        label(view(attribute.getName()), "attribute.name"), read(attribute.getValue()));
    if (!inserted) {
      illegal(what, fmt::format("name \"{}\" twice", place->first));
    }
  }
  return attributes;
}

static void write(const LayerSpec& layer, schema::LayerSpec::Builder to) {
  to.setKind(text(layer.kind));
  if (!layer.name.empty()) {
    to.setName(text(layer.name));
  }
  write_attributes(layer.attributes, [&](unsigned count) { return to.initAttributes(count); });
  const auto write_layer = [](const LayerSpec& each, auto item) { write(each, item); };
  write_list(
      layer.layers, [&](unsigned count) { return to.initLayers(count); }, write_layer);
  write_list(
      layer.shortcut, [&](unsigned count) { return to.initShortcut(count); }, write_layer);
}

static std::vector<LayerSpec> read_layers(capnp::List<schema::LayerSpec>::Reader from,
                                          std::string_view what, std::size_t depth = 0);

static LayerSpec read(schema::LayerSpec::Reader from, std::size_t depth) {
  return LayerSpec{
      .kind = label(view(from.getKind()), "layer.kind"),
      .name = label_or_empty(view(from.getName()), "layer.name"),
      .attributes = read_attributes(from.getAttributes(), "layer.attributes"),
      .layers = read_layers(from.getLayers(), "layer.layers", depth + 1),
      .shortcut = read_layers(from.getShortcut(), "layer.shortcut", depth + 1),
  };
}

static std::vector<LayerSpec> read_layers(capnp::List<schema::LayerSpec>::Reader from,
                                          std::string_view what, std::size_t depth) {
  if (depth > limits::kLayerDepthMax && from.size() > 0) {
    illegal(what, fmt::format("are nested more than {} deep", limits::kLayerDepthMax));
  }
  return read_list<LayerSpec>(from, limits::kLayersMax, what,
                              [&](auto item) { return read(item, depth); });
}

static void write(const ModelSpec& model, schema::ModelSpec::Builder to) {
  if (!model.input.empty()) {
    write_shape(model.input, to.initInput(static_cast<unsigned>(model.input.size())));
  }
  write_list(
      model.layers, [&](unsigned count) { return to.initLayers(count); },
      [](const auto& layer, auto item) { write(layer, item); });
}

static ModelSpec read(schema::ModelSpec::Reader from) {
  return ModelSpec{
      .input = read_shape(from.getInput(), "model.input"),
      .layers = read_layers(from.getLayers(), "model.layers"),
  };
}

static void write(const OptimizerSpec& optimizer, schema::OptimizerSpec::Builder to) {
  to.setKind(text(optimizer.kind));
  to.setLr(unsigned_zero(optimizer.lr));
  to.setMomentum(unsigned_zero(optimizer.momentum));
  to.setWeightDecay(unsigned_zero(optimizer.weight_decay));
  write_attributes(optimizer.options, [&](unsigned count) { return to.initOptions(count); });
}

static OptimizerSpec read(schema::OptimizerSpec::Reader from) {
  return OptimizerSpec{
      .kind = label(view(from.getKind()), "optimizer.kind"),
      .lr = finite(from.getLr(), "optimizer.lr"),
      .momentum = finite(from.getMomentum(), "optimizer.momentum"),
      .weight_decay = finite(from.getWeightDecay(), "optimizer.weightDecay"),
      .options = read_attributes(from.getOptions(), "optimizer.options"),
  };
}

static void write(const ScheduleSpec& schedule, schema::ScheduleSpec::Builder to) {
  to.setKind(text(schedule.kind));
  write_attributes(schedule.options, [&](unsigned count) { return to.initOptions(count); });
}

static ScheduleSpec read(schema::ScheduleSpec::Reader from) {
  return ScheduleSpec{
      .kind = label(view(from.getKind()), "schedule.kind"),
      .options = read_attributes(from.getOptions(), "schedule.options"),
  };
}

static std::vector<double> read_class_weights(capnp::List<double>::Reader from) {
  return read_list<double>(from, limits::kClassWeightsMax, "train.classWeights",
                           [](double weight) { return finite(weight, "train.classWeight"); });
}

static std::vector<std::string> read_patterns(capnp::List<capnp::Text>::Reader from,
                                              const char* field) {
  return read_list<std::string>(
      from, limits::kFreezePatternsMax, field,
      [field](capnp::Text::Reader pattern) { return label(view(pattern), field); });
}

static void write(const PersonalSpec& personal, schema::PersonalSpec::Builder to) {
  to.setLambda(unsigned_zero(personal.lambda));
  to.setLocalEpochs(personal.local_epochs);
}

static PersonalSpec read(schema::PersonalSpec::Reader from) {
  return PersonalSpec{
      .lambda = finite(from.getLambda(), "personal.lambda"),
      .local_epochs =
          at_most_32(from.getLocalEpochs(), limits::kLocalEpochsMax, "personal.localEpochs"),
  };
}

static void write(const AugmentSpec& augment, schema::AugmentSpec::Builder to) {
  to.setFlipHorizontal(augment.flip_horizontal);
  to.setFlipVertical(augment.flip_vertical);
  to.setCrop(unsigned_zero(augment.crop));
  to.setShift(augment.shift);
}

static AugmentSpec read(schema::AugmentSpec::Reader from) {
  return AugmentSpec{
      .flip_horizontal = from.getFlipHorizontal(),
      .flip_vertical = from.getFlipVertical(),
      .crop = finite(from.getCrop(), "augment.crop"),
      .shift = from.getShift(),
  };
}

static void write(const TrainSpec& train, schema::TrainSpec::Builder to) {
  to.setDataset(text(train.dataset));
  to.setLocalEpochs(train.local_epochs);
  to.setBatchSize(train.batch_size);
  to.setLoss(write_enum(train.loss));
  write(train.optimizer, to.initOptimizer());
  if (!train.class_weights.empty()) {
    auto weights = to.initClassWeights(static_cast<unsigned>(train.class_weights.size()));
    for (unsigned i = 0; i < weights.size(); ++i) {
      weights.set(i, unsigned_zero(train.class_weights[i]));
    }
  }
  if (train.schedule != ScheduleSpec()) {
    write(train.schedule, to.initSchedule());
  }
  to.setClipNorm(unsigned_zero(train.clip_norm));
  to.setClipValue(unsigned_zero(train.clip_value));
  if (!train.freeze.empty()) {
    write_texts(train.freeze, to.initFreeze(static_cast<unsigned>(train.freeze.size())));
  }
  to.setBalanced(train.balanced);
  if (train.augment != AugmentSpec()) {
    write(train.augment, to.initAugment());
  }
  if (!train.trainer.empty()) {
    to.setTrainer(text(train.trainer));
  }
  if (train.normalise) {
    write(*train.normalise, to.initNormalise());
  }
  to.setProxMu(unsigned_zero(train.prox_mu));
  if (!train.exclude.empty()) {
    write_texts(train.exclude, to.initExclude(static_cast<unsigned>(train.exclude.size())));
  }
  if (!train.private_tensors.empty()) {
    const auto count = static_cast<unsigned>(train.private_tensors.size());
    write_texts(train.private_tensors, to.initPrivateTensors(count));
  }
  to.setPrivateEpochs(train.private_epochs);
  if (train.personal) {
    write(*train.personal, to.initPersonal());
  }
}

static TrainSpec read(schema::TrainSpec::Reader from) {
  return TrainSpec{
      .dataset = label(view(from.getDataset()), "train.dataset"),
      .local_epochs =
          at_most_32(from.getLocalEpochs(), limits::kLocalEpochsMax, "train.localEpochs"),
      .batch_size = at_most_32(from.getBatchSize(), limits::kBatchSizeMax, "train.batchSize"),
      .loss = read_enum<Loss>(from.getLoss(), "train.loss"),
      .optimizer = read(from.getOptimizer()),
      .class_weights = read_class_weights(from.getClassWeights()),
      .schedule = from.hasSchedule() ? read(from.getSchedule()) : ScheduleSpec(),
      .clip_norm = finite(from.getClipNorm(), "train.clipNorm"),
      .clip_value = finite(from.getClipValue(), "train.clipValue"),
      .freeze = read_patterns(from.getFreeze(), "train.freeze"),
      .balanced = from.getBalanced(),
      .augment = from.hasAugment() ? read(from.getAugment()) : AugmentSpec(),
      .trainer = name_text_or_empty(view(from.getTrainer()), "train.trainer"),
      .normalise = from.hasNormalise() ? std::optional(read(from.getNormalise())) : std::nullopt,
      .prox_mu = finite(from.getProxMu(), "train.proxMu"),
      .exclude = read_patterns(from.getExclude(), "train.exclude"),
      .private_tensors = read_patterns(from.getPrivateTensors(), "train.private"),
      .private_epochs =
          at_most_32(from.getPrivateEpochs(), limits::kLocalEpochsMax, "train.privateEpochs"),
      .personal = from.hasPersonal() ? std::optional(read(from.getPersonal())) : std::nullopt,
  };
}

static std::int32_t read_priority(std::int32_t priority) {
  if (priority < -limits::kPriorityMax || priority > limits::kPriorityMax) {
    illegal("job.priority", fmt::format("is {}", priority));
  }
  return priority;
}

static EvaluateSpec read(schema::EvaluateSpec::Reader from) {
  return EvaluateSpec{
      .dataset = label(view(from.getDataset()), "evaluate.dataset"),
      .every = at_most_32(from.getEvery(), limits::kRoundsMax, "evaluate.every"),
      .personal = from.getPersonal(),
  };
}

static void write(const UpdateSpec& update, schema::UpdateSpec::Builder to) {
  to.setEncoding(text(update.encoding));
  to.setFraction(unsigned_zero(update.fraction.value_or(0)));
}

static UpdateSpec read(schema::UpdateSpec::Reader from) {
  UpdateSpec update;
  update.encoding = label(view(from.getEncoding()), "update.encoding");
  if (const double fraction = finite(from.getFraction(), "update.fraction"); fraction != 0) {
    update.fraction = fraction;
  }
  return update;
}

static void write(const StrategySpec& strategy, schema::StrategySpec::Builder to) {
  to.setKind(text(strategy.kind));
  write_list(
      strategy.parameters, [&](unsigned count) { return to.initParameters(count); },
      [](const auto& parameter, auto item) {
        item.setName(text(parameter.first));
        item.setValue(unsigned_zero(parameter.second));
      });
  to.setWeights(write_enum(strategy.weights));
  write_list(
      strategy.site_weights, [&](unsigned count) { return to.initSiteWeights(count); },
      [](const auto& weight, auto item) {
        item.setSite(text(weight.first.str()));
        item.setWeight(weight.second);
      });
}

static StrategySpec read(schema::StrategySpec::Reader from) {
  StrategySpec strategy;
  strategy.kind = label(view(from.getKind()), "strategy.kind");
  check_count(from.getParameters().size(), kParametersPerStrategyMax, "strategy.parameters");
  for (const auto parameter : from.getParameters()) {
    const auto [place, inserted] =
        strategy.parameters.emplace(label(view(parameter.getName()), "strategy.parameter.name"),
                                    finite(parameter.getValue(), "strategy.parameter.value"));
    if (!inserted) {
      illegal("strategy.parameters", fmt::format("name \"{}\" twice", place->first));
    }
  }
  strategy.weights = read_enum<Weighting>(from.getWeights(), "strategy.weights");
  check_count(from.getSiteWeights().size(), limits::kSitesPerJobMax, "strategy.siteWeights");
  for (const auto weight : from.getSiteWeights()) {
    const auto [place, inserted] = strategy.site_weights.emplace(
        read_name<SiteId>(view(weight.getSite()), "strategy.siteWeight.site"),
        finite(weight.getWeight(), "strategy.siteWeight.weight"));
    if (!inserted) {
      illegal("strategy.siteWeights", fmt::format("name \"{}\" twice", place->first.str()));
    }
  }
  return strategy;
}

static std::optional<std::uint64_t> read(schema::JobSpec::Seed::Reader from) {
  switch (from.which()) {
    case schema::JobSpec::Seed::DERIVED:
      return std::nullopt;
    case schema::JobSpec::Seed::FIXED:
      return from.getFixed();
  }
  illegal("job.seed", "is of an unknown kind");
}

static void write(const TaskNeeds& needs, schema::TaskNeeds::Builder to) {
  to.setMemoryBytes(needs.memory_bytes);
  to.setThreads(needs.threads);
  to.setGpus(needs.gpus);
}

static TaskNeeds read(schema::TaskNeeds::Reader from) {
  return TaskNeeds{
      .memory_bytes =
          at_most(from.getMemoryBytes(), limits::kMemoryBytesMax, "resources.memoryBytes"),
      .threads = at_most_32(from.getThreads(), limits::kThreadsPerTaskMax, "resources.threads"),
      .gpus = at_most_32(from.getGpus(), limits::kGpusMax, "resources.gpus"),
  };
}

static void write(const StopSpec& stop, schema::StopSpec::Builder to) {
  to.setMetric(text(stop.metric));
  to.setPatience(stop.patience);
  to.setMinDelta(unsigned_zero(stop.min_delta));
}

static StopSpec read(schema::StopSpec::Reader from) {
  return StopSpec{
      .metric = label(view(from.getMetric()), "stop.metric"),
      .patience = at_most_32(from.getPatience(), limits::kRoundsMax, "stop.patience"),
      .min_delta = finite(from.getMinDelta(), "stop.minDelta"),
  };
}

void write(const JobSpec& spec, schema::JobSpec::Builder to) {
  to.setName(text(spec.name));
  to.setRounds(spec.rounds);
  if (spec.seed) {
    to.initSeed().setFixed(*spec.seed);
  }
  to.setDeadlineMs(spec.deadline.count());
  to.setStallWindowMs(spec.stall_window.count());
  to.setPriority(spec.priority);
  write(spec.sites, to.initSites());
  write(spec.model, to.initModel());
  write(spec.train, to.initTrain());
  if (spec.evaluate) {
    auto evaluate = to.initEvaluate();
    evaluate.setDataset(text(spec.evaluate->dataset));
    evaluate.setEvery(spec.evaluate->every);
    evaluate.setPersonal(spec.evaluate->personal);
  }
  write(spec.strategy, to.initStrategy());
  if (spec.update != UpdateSpec()) {
    write(spec.update, to.initUpdate());
  }
  if (spec.resources != TaskNeeds{}) {
    write(spec.resources, to.initResources());
  }
  if (spec.stop) {
    write(*spec.stop, to.initStop());
  }
  to.setKeep(write_enum(spec.keep));
  to.setPreemptible(spec.preemptible);
  if (!spec.after.empty()) {
    write_names(spec.after, to.initAfter(static_cast<unsigned>(spec.after.size())));
  }
  if (spec.init) {
    write(*spec.init, to.initInit());
  }
  to.setKind(write_enum(spec.kind));
  if (spec.statistics) {
    write(*spec.statistics, to.initStatistics());
  }
  if (spec.async) {
    write(*spec.async, to.initAsync());
  }
  if (spec.predict) {
    write(*spec.predict, to.initPredict());
  }
}

JobSpec read(schema::JobSpec::Reader from) {
  JobSpec spec{
      .name = name_text(view(from.getName()), "job.name"),
      .kind = read_enum<JobKind>(from.getKind(), "job.kind"),
      .rounds = at_most_32(from.getRounds(), limits::kRoundsMax, "job.rounds"),
      .seed = read(from.getSeed()),
      .deadline = Millis(duration_ms(from.getDeadlineMs(), "job.deadlineMs")),
      .stall_window = Millis(duration_ms(from.getStallWindowMs(), "job.stallWindowMs")),
      .priority = read_priority(from.getPriority()),
      .sites = read(from.getSites()),
      .model = read(from.getModel()),
      .train = read(from.getTrain()),
      .evaluate = std::nullopt,
      .strategy = read(from.getStrategy()),
      .update = {},
      .resources = read(from.getResources()),
      .stop = std::nullopt,
      .keep = read_enum<Keep>(from.getKeep(), "job.keep"),
      .preemptible = from.getPreemptible(),
      .after = read_names<JobId>(from.getAfter(), limits::kJobsAfterMax, "job.after"),
      .init = std::nullopt,
  };
  if (from.hasEvaluate()) {
    spec.evaluate = read(from.getEvaluate());
  }
  if (from.hasUpdate()) {
    spec.update = read(from.getUpdate());
  }
  if (from.hasStop()) {
    spec.stop = read(from.getStop());
  }
  if (from.hasInit()) {
    spec.init = read(from.getInit());
  }
  if (from.hasStatistics()) {
    spec.statistics = read(from.getStatistics());
  }
  if (from.hasAsync()) {
    spec.async = read(from.getAsync());
  }
  if (from.hasPredict()) {
    spec.predict = read(from.getPredict());
  }
  return spec;
}

void write(const msg::JobOffer& offer, schema::JobOffer::Builder to) {
  to.setJob(text(offer.job.str()));
  to.setCoordinator(text(offer.coordinator));
  write(offer.spec, to.initSpec());
  to.setSpecDigest(data(offer.spec_digest));
}

msg::JobOffer read(schema::JobOffer::Reader from) {
  return msg::JobOffer{
      .job = read_name<JobId>(view(from.getJob()), "jobOffer.job"),
      .coordinator = name_text_or_empty(view(from.getCoordinator()), "jobOffer.coordinator"),
      .spec = read(from.getSpec()),
      .spec_digest = read_digest(from.getSpecDigest(), "jobOffer.specDigest"),
  };
}

void write(const msg::JobReply& reply, schema::JobReply::Builder to) {
  to.setJob(text(reply.job.str()));
  to.setSpecDigest(data(reply.spec_digest));
  if (reply.decline) {
    write(*reply.decline, to.initDecline());
  }
}

msg::JobReply read(schema::JobReply::Reader from) {
  msg::JobReply reply{
      .job = read_name<JobId>(view(from.getJob()), "jobReply.job"),
      .spec_digest = read_digest(from.getSpecDigest(), "jobReply.specDigest"),
      .decline = std::nullopt,
  };
  if (from.hasDecline()) {
    reply.decline = read(from.getDecline());
  }
  return reply;
}

void write(const msg::JobWaits& waits, schema::JobWaits::Builder to) {
  to.setJob(text(waits.job.str()));
  to.setSpecDigest(data(waits.spec_digest));
  to.setReason(text(prose(waits.reason)));
}

msg::JobWaits read(schema::JobWaits::Reader from) {
  return msg::JobWaits{
      .job = read_name<JobId>(view(from.getJob()), "jobWaits.job"),
      .spec_digest = read_digest(from.getSpecDigest(), "jobWaits.specDigest"),
      .reason = prose(view(from.getReason())),
  };
}

void write(const msg::JobPaused& paused, schema::JobPaused::Builder to) {
  to.setJob(text(paused.job.str()));
  to.setReason(text(prose(paused.reason)));
}

msg::JobPaused read(schema::JobPaused::Reader from) {
  return msg::JobPaused{
      .job = read_name<JobId>(view(from.getJob()), "jobPaused.job"),
      .reason = prose(view(from.getReason())),
  };
}

void write(const msg::JobClosed& closed, schema::JobClosed::Builder to) {
  to.setJob(text(closed.job.str()));
  to.setReason(text(prose(closed.reason)));
}

msg::JobClosed read(schema::JobClosed::Reader from) {
  return msg::JobClosed{
      .job = read_name<JobId>(view(from.getJob()), "jobClosed.job"),
      .reason = prose(view(from.getReason())),
  };
}

}  // namespace entente::wire
