#include "tests/unit/wire/samples.h"

#include <utility>

namespace entente::wire::samples {

// A default T but for one field.
template <class T, class Field>
static T only(Field T::*field, Field value) {
  T item;
  item.*field = std::move(value);
  return item;
}

BlobId blob(unsigned char fill) {
  BlobId id;
  id.bytes.fill(fill);
  id.bytes[0] = 1;
  return id;
}

Refusal refusal() {
  return {"dataset_unknown", "there is no dataset \"xrays\"", "ask for \"x-rays\"", Scope::broker};
}

static Metrics metrics() { return {{"accuracy", 0.875}, {"loss", 0.25}}; }

SiteAdvert site_advert() {
  return {.datasets = {{.name = "fashion-mnist",
                        .kind = "idx",
                        .examples = 60'000,
                        .example_shape = {1, 28, 28},
                        .classes = 3,
                        .class_names = {"shirt", "trousers", "Mütze"},
                        .tags = {"clothes", "2017"},
                        .features = {"age", "sex=f"},
                        .targets = 2,
                        .vocabulary = 5000},
                       {.name = "fashion-mnist-test",
                        .kind = "csv",
                        .examples = 10'000,
                        .example_shape = {784},
                        .classes = 11}},
          .slots = 3,
          .threads_per_slot = 2,
          .version = "0.1.0",
          .resources = {.cores = 16, .memory_bytes = 64'000'000'000, .gpus = 2},
          .jurisdiction = "US-CA",
          .labels = {{"network", "university"}, {"scanner", "Ärzte & Co"}},
          .policy = "coordinators (1), cohort_min 3",
          .paused = true,
          .pause_reason = "a strange job"};
}

JobSpec job_spec() {
  JobSpec spec;
  spec.name = "lung";
  spec.rounds = 12;
  spec.seed = 7;
  spec.deadline = Millis(86'400'000);
  spec.priority = -5;
  spec.stall_window = Millis(300'000);
  spec.sites = {
      .min = 2,
      .max = 5,
      .quorum = 3,
      .mandatory = {SiteId::literal("north"), SiteId::literal("east")},
      .exclude = {SiteId::literal("south")},
      .replace = false,
      .samples_min = 1000,
      .require = "jurisdiction IN ('DE', 'Ö')",
      .prefer = "cores",
      .sample = SampleSpec{
          .by = SampleBy::preference, .count = 2, .fraction = 0.25, .over = 1.5, .separation = 3}};
  spec.model.input = {1, 28, 28};
  spec.model.layers = {
      {.kind = "conv2d",
       .name = "conv1",
       .attributes = {{"bias", true},
                      {"out_channels", std::int64_t{16}},
                      {"padding_mode", std::string("zeros")},
                      {"scale", 0.5}}},
      {.kind = "relu", .name = "act1", .attributes = {{"inplace", false}}},
      {.kind = "residual",
       .name = "block1",
       .attributes = {},
       .layers = {{.kind = "relu", .name = "act2", .attributes = {}}},
       .shortcut = {{.kind = "tanh", .name = "", .attributes = {{"slope", 0.5}}}}},
  };
  spec.train = {
      .dataset = "fashion-mnist",
      .local_epochs = 2,
      .batch_size = 64,
      .loss = Loss::cross_entropy,
      .optimizer = {.kind = "adam",
                    .lr = 0.05,
                    .momentum = 0.9,
                    .weight_decay = 1e-4,
                    .options = {{"beta1", 0.8}}},
      .class_weights = {1, 2.5},
      .schedule = {.kind = "step", .options = {{"every", std::int64_t{10}}}},
      .clip_norm = 5,
      .clip_value = 0.5,
      .freeze = {"conv1.*"},
      .balanced = true,
      .augment = {.flip_horizontal = true, .flip_vertical = false, .crop = 0.8, .shift = 2},
      .trainer = "torch",
      .normalise = Normalisation{.from = JobId::literal("lung-numbers-1"),
                                 .columns = {{"age", 48.5, 13.1}, {"Größe", -1, 0.5}}},
      .prox_mu = 0.01,
      .exclude = {"norm.*"},
      .private_tensors = {"head.*"},
      .private_epochs = 3,
      .personal = PersonalSpec{.lambda = 0.5, .local_epochs = 2}};
  spec.statistics =
      StatisticsSpec{.columns = {"age", "Größe"}, .bins = 16, .quantiles = {0.25, 0.5}};
  spec.evaluate = EvaluateSpec{.dataset = "fashion-mnist-test", .every = 2, .personal = true};
  spec.strategy = {.kind = "multi_krum",
                   .parameters = {{"byzantine", 2}, {"clip_norm", 0.5}},
                   .weights = Weighting::given,
                   .site_weights = {{SiteId::literal("north"), 2.5}}};
  spec.update = {.encoding = "topk", .fraction = 0.05};
  spec.resources = {.memory_bytes = 2'000'000'000, .threads = 2, .gpus = 1};
  spec.stop = StopSpec{.metric = "accuracy", .patience = 4, .min_delta = 0.001};
  spec.keep = Keep::best_and_last;
  spec.preemptible = true;
  spec.after = {JobId::literal("lung-1"), JobId::literal("lung-2")};
  spec.init = InitialModel{JobId::literal("lung-1"), InitialModel::Which::round, 7};
  spec.async =
      AsyncSpec{.buffer = 4, .staleness_exponent = 0.25, .staleness_max = 7, .concurrency = 3};
  spec.predict = PredictSpec{
      .inputs = blob(14), .inputs_bytes = 4096, .examples = 16, .own = JobId::literal("lung-2")};
  return spec;
}

TaskKey task_key() {
  return {.job = JobId::literal("lung-3"),
          .round = 4,
          .kind = TaskKind::evaluate,
          .site = SiteId::literal("north"),
          .attempt = 2};
}

static TaskProgress progress() { return {.done = 640, .total = 6000, .unit = "examples"}; }

JobSummary job_summary() {
  return {.id = JobId::literal("lung-3"),
          .state = JobState::aborted,
          .coordinator = "alice",
          .round = 3,
          .rounds = 12,
          .submitted_unix_ms = 1'700'000'000'123,
          .reason = "aborted by alice"};
}

JobEvent job_event() {
  return {.seq = 9,
          .unix_ms = 1'700'000'000'456,
          .kind = JobEventKind::aborted,
          .round = 3,
          .site = "north",
          .text = "north has trained round 3\n\tloss 0.25, naïve 模型 🙂",
          .metrics = metrics(),
          .examples = 6000,
          .bytes = 1'234'567};
}

JobSiteView job_site_view() {
  return {.site = SiteId::literal("north"),
          .enrolment = Enrolment::declined,
          .reason = "policy clause \"rounds_per_day\"",
          .connected = true,
          .updates_accepted = 3,
          .bytes_out = 1'000'000,
          .tensors_out = 24,
          .examples = 6000,
          .task = TaskKind::evaluate,
          .task_state = TaskState::lost,
          .progress = progress(),
          .stands_by = true,
          .sits_out = true};
}

static RoundView round_view() {
  return {.round = 3,
          .state = RoundState::done,
          .updates = 2,
          .train_metrics = metrics(),
          .evaluate_metrics = {{"accuracy", -0.5}},
          .model = blob(5),
          .removed = true,
          .evaluated_at = 2,
          .evaluation_examples = 30'000,
          .at_sites = {{SiteId::literal("north"), {metrics(), 10'000}},
                       {SiteId::literal("south"), {{{"loss", 2}}, 20'000}}},
          .model_of = "south"};
}

JobView job_view() {
  return {.summary = job_summary(),
          .spec = job_spec(),
          .spec_digest = blob(6),
          .sites = {job_site_view(), only(&JobSiteView::site, SiteId::literal("south"))},
          .rounds = {RoundView{}, round_view()},
          .statistics = {{"bins/age", {0, 0, 12, 40}}, {"cell/ward/A%2FB", {12}}}};
}

SiteView site_view() {
  return {.site = SiteId::literal("north"),
          .connected = true,
          .last_seen_unix_ms = -1,
          .advert = site_advert(),
          .jobs = {JobId::literal("lung-3"), JobId::literal("heart-1")},
          .draining = true,
          .drain_reason = "a new disk",
          .open_tasks = 2};
}

ModelView model_view() {
  return {.job = JobId::literal("lung-3"),
          .version = 3,
          .blob = blob(7),
          .bytes = 4'000'000,
          .published_unix_ms = 1'700'000'000'789,
          .spec_digest = blob(8),
          .strategy = "fedavg",
          .parent = blob(9),
          .server_state = blob(12),
          .origin = "heart-1@3",
          .contributions = {{.site = SiteId::literal("north"),
                             .update = blob(10),
                             .examples = 6000,
                             .weight = 0.75,
                             .steps = 188,
                             .started_from = 2},
                            {.site = SiteId::literal("south"),
                             .update = blob(11),
                             .examples = 2000,
                             .weight = 0.25,
                             .steps = 63}},
          .evaluate_metrics = metrics(),
          .removed = true};
}

AuditEntry audit_entry() {
  return {.seq = 12,
          .unix_ms = 1'700'000'000'321,
          .actor = "coordinator/alice",
          .action = "job.submit",
          .object = "job/lung-3",
          .detail = "a detail, with \x1b and whatever else was hashed",
          .hash = blob(13)};
}

static msg::Hello hello() {
  return {.protocol_min = 2,
          .protocol_max = 3,
          .version = "0.1.0 (debian)",
          .instance = 0xfedcba9876543210,
          .capabilities = {"secure-aggregation", "slurm"}};
}

static msg::Welcome welcome() {
  return {.protocol = 3,
          .session = 42,
          .broker = "broker.example",
          .version = "0.2.0",
          .capabilities = {"secure-aggregation"}};
}

static Explanation explanation() {
  return {.job = JobId::literal("lung-3"),
          .state = JobState::queued,
          .sentence = "waits",
          .place = 2,
          .ahead = {JobId::literal("lung-2")},
          .reserved = {SiteId::literal("north")},
          .changes = {"east must accept", "south must be there"},
          .sites = {{SiteId::literal("east"), SiteStanding::asked, {"it has not answered yet"}},
                    {SiteId::literal("west"), SiteStanding::excluded, {}}},
          .sites_left_out = 4000};
}

std::vector<msg::Control> control_messages() {
  const auto job = JobId::literal("lung-3");
  std::vector<msg::Control> messages{
      hello(),
      welcome(),
      msg::Refused{refusal()},
      msg::Advert{site_advert()},
      msg::JobOffer{job, "alice", job_spec(), blob(1)},
      msg::JobReply{job, blob(1), refusal()},
      msg::JobReply{job, blob(1), std::nullopt},
      msg::JobClosed{job, "the job has completed"},
      msg::JobWaits{job, blob(1), "waits for approval at the site"},
      msg::JobPaused{job, "by coordinator/alice"},
      msg::TaskOffer{{task_key(),
                      99,
                      blob(2),
                      4'000'000,
                      3,
                      250,
                      {{"age", {20, 80}}, {"Größe", {-1, 0.5}}},
                      blob(14),
                      5000,
                      blob(15),
                      4096}},
      msg::TaskReport{task_key(), progress()},
      msg::ResultAnnounce{task_key(),
                          {blob(3),
                           4'000'001,
                           6000,
                           188,
                           metrics(),
                           {{"confusion", {3, 1, 0, 2}}, {"count", {6}}}}},
      msg::ResultGrant{task_key(), blob(3)},
      msg::ResultVerdict{task_key(), refusal()},
      msg::ResultVerdict{task_key(), std::nullopt},
      msg::TaskFailed{task_key(), {refusal(), true}},
      msg::JobUpdate{17, job_summary(), {job_event(), job_event()}, {job_site_view()}},
  };
  for (msg::RequestBody body :
       {msg::RequestBody(msg::SubmitJob{job_spec(), "once"}),
        msg::RequestBody(msg::ListJobs{}),
        msg::RequestBody(msg::ShowJob{job}),
        msg::RequestBody(msg::WatchJob{job, 5}),
        msg::RequestBody(msg::AbortJob{job, "no longer needed"}),
        msg::RequestBody(msg::DrainSite{SiteId::literal("north"), "a new disk"}),
        msg::RequestBody(msg::ResumeSite{SiteId::literal("north")}),
        msg::RequestBody(msg::ListSites{}),
        msg::RequestBody(msg::ListModels{}),
        msg::RequestBody(msg::ShowModel{job, Round{0}}),
        msg::RequestBody(msg::ExplainJob{job}),
        msg::RequestBody(msg::ExplainSpec{job_spec()}),
        msg::RequestBody(msg::ShowModel{job, std::nullopt}),
        msg::RequestBody(msg::ShowAudit{job, 50}),
        msg::RequestBody(msg::ShowAudit{}),
        msg::RequestBody(msg::ReadAudit{500}),
        msg::RequestBody(msg::ListEvents{job, 5}),
        msg::RequestBody(msg::PauseJob{job, "the cluster is needed"}),
        msg::RequestBody(msg::ResumeJob{job}),
        msg::RequestBody(msg::ListJobs{JobState::paused, true}),
        msg::RequestBody(msg::ListModels{job})}) {
    messages.push_back(msg::Request{17, std::move(body)});
  }
  for (msg::ReplyBody body :
       {msg::ReplyBody(msg::Done{}), msg::ReplyBody(refusal()), msg::ReplyBody(job_summary()),
        msg::ReplyBody(std::vector{job_summary(), job_summary()}), msg::ReplyBody(job_view()),
        msg::ReplyBody(std::vector{site_view()}), msg::ReplyBody(std::vector{model_view()}),
        msg::ReplyBody(model_view()), msg::ReplyBody(explanation()), msg::ReplyBody(Explanation{}),
        msg::ReplyBody(std::vector{audit_entry()}), msg::ReplyBody(std::vector{job_event()})}) {
    messages.push_back(msg::Reply{17, std::move(body)});
  }
  return messages;
}

std::vector<msg::Data> data_messages() {
  return {
      hello(),
      welcome(),
      msg::Refused{refusal()},
      msg::BlobPut{blob(1), 4'000'000},
      msg::BlobReady{blob(1), 1'000'000, 8},
      msg::BlobChunk{blob(1), 1'000'000},
      msg::BlobCredit{blob(1), 2},
      msg::BlobStored{blob(1)},
      msg::BlobGet{blob(1), 1'000'000, 8},
      msg::BlobSize{blob(1), 4'000'000},
      msg::BlobRefused{blob(1), refusal()},
  };
}

static JobSpec smallest_job_spec() {
  JobSpec spec;
  spec.name = "j";
  spec.train.dataset = "d";
  return spec;
}

std::vector<msg::Control> smallest_control_messages() {
  const auto job = JobId::literal("j");
  const TaskKey key{.job = job, .site = SiteId::literal("s")};
  const Refusal no{.code = "no", .message = {}, .hint = {}};
  const auto summary = only(&JobSummary::id, job);
  JobView view;
  view.summary = summary;
  view.spec = smallest_job_spec();
  return {
      msg::Hello{},
      msg::Welcome{},
      msg::Refused{no},
      msg::Advert{},
      msg::JobOffer{job, {}, smallest_job_spec(), {}},
      msg::JobReply{job, {}, {}},
      msg::JobClosed{job, {}},
      msg::JobWaits{job, {}, {}},
      msg::JobPaused{job, {}},
      msg::TaskOffer{only(&TaskOrder::key, key)},
      msg::TaskReport{key, {}},
      msg::ResultAnnounce{key, {}},
      msg::ResultGrant{key, {}},
      msg::ResultVerdict{key, {}},
      msg::TaskFailed{key, {no}},
      msg::Request{0, msg::SubmitJob{smallest_job_spec(), {}}},
      msg::Reply{0, no},
      msg::Reply{0, std::vector<JobSummary>{}},
      msg::Reply{0, std::vector<SiteView>{}},
      msg::Reply{0, std::vector<ModelView>{}},
      msg::Reply{0, std::vector<AuditEntry>{}},
      msg::Reply{0, std::vector<JobEvent>{}},
      msg::Reply{0, view},
      msg::Reply{0, std::vector{only(&SiteView::site, SiteId::literal("s"))}},
      msg::Reply{0, only(&ModelView::job, job)},
      msg::JobUpdate{0, summary, {JobEvent{}}, {only(&JobSiteView::site, SiteId::literal("s"))}},
  };
}

std::vector<msg::Data> smallest_data_messages() {
  return {msg::BlobPut{},    msg::BlobReady{}, msg::BlobChunk{}, msg::BlobCredit{},
          msg::BlobStored{}, msg::BlobGet{},   msg::BlobSize{}};
}

}  // namespace entente::wire::samples
