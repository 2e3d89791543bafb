// Every bound of the system, with its reason. A peer that exceeds one is refused, never served.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace entente::limits {

// One control message: a job with thousands of layers fits, a flood does not.
constexpr std::size_t kControlMessageBytesMax = 1 << 20;

// Payload of one data chunk: large enough for full speed, small enough to resume cheaply. A
// transfer begins with the smallest, and stays there on a slow line (common/blob/pace.h): a credit
// window of those is 3 s of a line of 10 KB/s, so that heartbeats still pass in time.
constexpr std::size_t kChunkBytesMax = 1 << 20;
constexpr std::size_t kChunkBytesMin = 4 << 10;

// A data frame is a chunk; its envelope travels in a frame of its own.
constexpr std::size_t kFrameBytesMax = kChunkBytesMax + (64 << 10);

// Chunks a sender may have in flight: 8 MiB per transfer covers 100 ms at 80 MB/s.
constexpr std::size_t kCreditChunks = 8;

// Chunks that the broker lets be under way in each direction, over all transfers: 32 MiB, shared
// among them, whatever the number of sites. Each keeps one, so that all go on.
constexpr std::size_t kChunksUnderWayMax = 32;

// Whole messages queued per peer and direction; above kCreditChunks so that credit binds first.
constexpr int kPeerMessagesMax = 64;

// Control messages that a site or a coordinator queues for the broker: a returning site repeats a
// promise and a result for each of thousands of open jobs. They are its own, so no bytes are
// counted.
constexpr int kOwnMessagesMax = 1 << 14;

// What the broker queues for one peer beyond kPeerMessagesMax: offers of thousands of jobs and
// tasks fit (a few KiB each), and a thousand peers that take nothing at all stay within a server's
// memory.
constexpr std::size_t kPeerQueueBytesMax = 16 << 20;

// A TLS and ZMTP handshake that takes longer is closed: a site 2 s away that loses packets needs
// three round trips and a few repetitions. While all of kHandshakesInFlightMax are taken, the
// oldest makes room after kHandshakeCrowdedMax, so that stalled ones keep nobody out for long.
constexpr std::chrono::seconds kHandshakeMax{30};
constexpr std::chrono::seconds kHandshakeCrowdedMax{5};

// ZMTP heartbeats notice a dead connection within kHeartbeatTimeout.
constexpr std::chrono::seconds kHeartbeatEvery{10};
constexpr std::chrono::seconds kHeartbeatTimeout{30};

// A transfer of which nothing has moved for so long is given up, and resumed on another session. It
// is well below the stall window, and leaves TCP five repetitions, each after twice the time, on a
// line that loses packets.
constexpr std::chrono::seconds kTransferSilenceMax{120};

// How long a closing socket may try to deliver what it holds.
constexpr std::chrono::seconds kLinger{1};

// Pause of a site before it dials again: full jitter between the two.
constexpr std::chrono::seconds kBackoffMin{1};
constexpr std::chrono::seconds kBackoffMax{60};

// Sessions of one certificate: a coordinator with a few terminals, an agent with its two planes.
constexpr std::size_t kSessionsPerIdentityMax = 64;
constexpr std::size_t kHandshakesInFlightMax = 1024;

// One model or update; a job's own layout decides far below this.
constexpr std::uint64_t kBlobBytesMax = std::uint64_t{1} << 40;
// Bytes of a safetensors header: thousands of tensors fit.
constexpr std::size_t kTensorHeaderBytesMax = 16 << 20;
constexpr std::size_t kTensorDimensionsMax = 8;

// What a job may ask for.
// A longer expression over adverts is a program, not a condition.
constexpr std::size_t kExpressionBytesMax = 2000;
constexpr std::uint32_t kThreadsPerTaskMax = 4096;
constexpr std::uint32_t kRoundsMax = 100'000;
constexpr std::size_t kLayersMax = 4096;
// Blocks within blocks: a residual block within a block is rare, and each level costs a reader of
// messages three levels of nesting.
constexpr std::size_t kLayerDepthMax = 3;
// Weights of classes in a loss: more classes than any dataset of ours names.
constexpr std::size_t kClassWeightsMax = 1 << 14;
// Patterns of tensors that are frozen: a few name whole parts of a model.
constexpr std::size_t kFreezePatternsMax = 64;
constexpr std::size_t kSitesPerJobMax = 10'000;
// A tensor costs its name and shape wherever a job is known, however few values it has.
constexpr std::size_t kModelTensorsMax = 1 << 14;
constexpr std::uint64_t kModelParametersMax = std::uint64_t{1} << 36;
constexpr std::uint64_t kBatchSizeMax = 1 << 20;
constexpr std::uint32_t kLocalEpochsMax = 10'000;
// A round that asks more sites than this for each update that it takes throws most of their work
// away.
constexpr double kOverSelectionMax = 10;
// Where sites are given work by their speed (train.local_steps = "balanced"), the fastest gets at
// most so many times its nominal steps and the slowest so small a part of them: an update that was
// made from much more, or from next to nothing, would speak for other data than the site's.
constexpr double kBalanceFactorMax = 4;
// Steps of one task: more than any epochs of any dataset come to.
constexpr std::uint64_t kStepsMax = std::uint64_t{1} << 56;

// Jobs that one may wait for: a study's stages, not a schedule of the consortium's.
constexpr std::size_t kJobsAfterMax = 64;

// Jobs of one coordinator that wait for files it has not brought: each holds what has arrived of
// one on the broker's disk, and waits without an end.
constexpr std::size_t kJobsAwaitingFilesMax = 16;
// Rows that one job predicts: every site computes all of them, and the outputs of each come back.
constexpr std::uint64_t kPredictionRowsMax = 1'000'000;

// What a site may claim: beyond this an example count is a lie or a bug.
constexpr std::uint64_t kExamplesMax = std::uint64_t{1} << 40;
// An update whose L2 norm is larger has diverged.
constexpr double kUpdateNormMax = 1e12;
constexpr std::size_t kDatasetsPerSiteMax = 1000;
// Words that describe; expressions read them. More than a screenful is a database.
constexpr std::size_t kTagsPerDatasetMax = 64;
constexpr std::size_t kLabelsPerSiteMax = 64;
constexpr std::size_t kClassNamesMax = 1024;
// Names of inputs in an advert; a dataset of more is described by its shape alone.
constexpr std::size_t kFeatureNamesMax = 1024;
// Numbers to predict of one example.
constexpr std::size_t kTargetsMax = 1024;
// Different tokens of a text: every character of Unicode, or more words than any language has.
constexpr std::uint32_t kVocabularyMax = 1 << 24;
// Whose law: a country, perhaps with a part of it.
constexpr std::size_t kJurisdictionBytesMax = 16;
// Beyond what any machine has; within it no product of them overflows.
constexpr std::uint32_t kCoresMax = 1 << 16;
constexpr std::uint32_t kGpusMax = 1 << 12;
constexpr std::uint64_t kMemoryBytesMax = std::uint64_t{1} << 50;
constexpr std::size_t kMetricsPerResultMax = 64;
// Sums of an evaluation: a confusion matrix of 64 classes, or two histograms of scores. Of
// statistics: columns with their cells and bins, as below. 256 KiB of values and 512 KiB of names
// fit in a control message.
constexpr std::size_t kSumsPerResultMax = 8192;
constexpr std::size_t kSumValuesPerResultMax = 32'768;
constexpr std::size_t kSumNamesBytesMax = 512 << 10;  // of a result, those of its metrics as well
// What statistics are made of: columns of a wide table, categories and words of all of them
// together with the bytes of their names, bins of one histogram, quantiles that are shown.
constexpr std::size_t kStatisticsColumnsMax = 1024;
constexpr std::size_t kStatisticsCellsMax = 3000;
constexpr std::size_t kStatisticsCellBytesMax = 128 << 10;
constexpr std::size_t kStatisticsBinsMax = 256;
constexpr std::size_t kStatisticsQuantilesMax = 32;
// Rows that a site may ask a cell to have: beyond it next to nothing would be told.
constexpr std::uint64_t kStatisticsCellMinMax = 10'000;
// Free text from a peer (reasons, error messages) is cut at this many bytes.
constexpr std::size_t kPeerTextBytesMax = 4096;

// What a site's own files may be made of. Data beyond it is better stored in another form.
// Columns of a table: a panel of genetic markers fits, a header of a million columns is none.
constexpr std::size_t kTableColumnsMax = 1 << 14;
// One row of a table, and with it what reading any table needs beside the examples.
constexpr std::size_t kTableRowBytesMax = 16 << 20;
// Categories of one column: one input each.
constexpr std::size_t kCategoriesMax = 1 << 12;
// Inputs of an example made from a table, and tokens of a text.
constexpr std::size_t kTableInputsMax = 1 << 18;
constexpr std::uint32_t kTokensMax = 1 << 16;
// A query or a connection string of a database.
constexpr std::size_t kQueryBytesMax = 64 << 10;

// Tries of one task at one site: a passing fault deserves a second one.
constexpr std::uint32_t kAttemptsMax = 2;

// Default of the one stall window and the one deadline.
constexpr std::chrono::minutes kStallWindowDefault{5};
constexpr std::chrono::hours kDeadlineDefault{24};

// Priorities of jobs.
constexpr std::int32_t kPriorityMax = 100;

// What a coordinator has used counts half as much after a week: long enough to even out a busy
// week, short enough to forget a busy month.
constexpr std::chrono::hours kUsageHalfLifeDefault{7 * 24};

}  // namespace entente::limits
