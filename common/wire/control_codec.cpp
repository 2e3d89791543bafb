#include "common/wire/control_codec.h"

#include <fmt/format.h>
#include <schemas/envelope.capnp.h>

#include "common/base/limits.h"
#include "common/wire/blob_wire.h"
#include "common/wire/coordinator_wire.h"
#include "common/wire/framing.h"
#include "common/wire/job_wire.h"
#include "common/wire/session_wire.h"
#include "common/wire/task_wire.h"

namespace entente::wire {
namespace {

struct ControlWriter {
  schema::ControlEnvelope::Builder to;

  void operator()(const msg::Hello& hello) { write(hello, to.initHello()); }
  void operator()(const msg::Welcome& welcome) { write(welcome, to.initWelcome()); }
  void operator()(const msg::Refused& refused) { write(refused, to.initRefused()); }
  void operator()(const msg::Advert& advert) { write(advert, to.initAdvert()); }
  void operator()(const msg::JobOffer& offer) { write(offer, to.initJobOffer()); }
  void operator()(const msg::JobReply& reply) { write(reply, to.initJobReply()); }
  void operator()(const msg::JobClosed& closed) { write(closed, to.initJobClosed()); }
  void operator()(const msg::JobWaits& waits) { write(waits, to.initJobWaits()); }
  void operator()(const msg::JobPaused& paused) { write(paused, to.initJobPaused()); }
  void operator()(const msg::TaskOffer& offer) { write(offer, to.initTaskOffer()); }
  void operator()(const msg::TaskReport& report) { write(report, to.initTaskReport()); }
  void operator()(const msg::ResultAnnounce& result) { write(result, to.initResultAnnounce()); }
  void operator()(const msg::ResultGrant& grant) { write(grant, to.initResultGrant()); }
  void operator()(const msg::ResultVerdict& verdict) { write(verdict, to.initResultVerdict()); }
  void operator()(const msg::TaskFailed& failed) { write(failed, to.initTaskFailed()); }
  void operator()(const msg::Request& request) { write(request, to.initRequest()); }
  void operator()(const msg::Reply& reply) { write(reply, to.initReply()); }
  void operator()(const msg::JobUpdate& update) { write(update, to.initJobUpdate()); }
};

}  // namespace

// Static: see job_wire.cpp.
static msg::Control read(schema::ControlEnvelope::Reader from) {
  using Envelope = schema::ControlEnvelope;
  switch (from.which()) {
    case Envelope::UNSET:
      illegal("the envelope", "has no content");
    case Envelope::HELLO:
      return read(from.getHello());
    case Envelope::WELCOME:
      return read(from.getWelcome());
    case Envelope::REFUSED:
      return read(from.getRefused());
    case Envelope::ADVERT:
      return read(from.getAdvert());
    case Envelope::JOB_OFFER:
      return read(from.getJobOffer());
    case Envelope::JOB_REPLY:
      return read(from.getJobReply());
    case Envelope::JOB_CLOSED:
      return read(from.getJobClosed());
    case Envelope::TASK_OFFER:
      return read(from.getTaskOffer());
    case Envelope::TASK_REPORT:
      return read(from.getTaskReport());
    case Envelope::RESULT_ANNOUNCE:
      return read(from.getResultAnnounce());
    case Envelope::RESULT_GRANT:
      return read(from.getResultGrant());
    case Envelope::RESULT_VERDICT:
      return read(from.getResultVerdict());
    case Envelope::TASK_FAILED:
      return read(from.getTaskFailed());
    case Envelope::REQUEST:
      return read(from.getRequest());
    case Envelope::REPLY:
      return read(from.getReply());
    case Envelope::JOB_UPDATE:
      return read(from.getJobUpdate());
    case Envelope::JOB_WAITS:
      return read(from.getJobWaits());
    case Envelope::JOB_PAUSED:
      return read(from.getJobPaused());
  }
  throw Unknown{fmt::format("a control message is of the unknown kind {}", unsigned{from.which()})};
}

namespace {

struct DataWriter {
  schema::DataEnvelope::Builder to;

  void operator()(const msg::Hello& hello) { write(hello, to.initHello()); }
  void operator()(const msg::Welcome& welcome) { write(welcome, to.initWelcome()); }
  void operator()(const msg::Refused& refused) { write(refused, to.initRefused()); }
  void operator()(const msg::BlobPut& put) { write(put, to.initBlobPut()); }
  void operator()(const msg::BlobReady& ready) { write(ready, to.initBlobReady()); }
  void operator()(const msg::BlobChunk& chunk) { write(chunk, to.initBlobChunk()); }
  void operator()(const msg::BlobCredit& credit) { write(credit, to.initBlobCredit()); }
  void operator()(const msg::BlobStored& stored) { write(stored, to.initBlobStored()); }
  void operator()(const msg::BlobGet& get) { write(get, to.initBlobGet()); }
  void operator()(const msg::BlobSize& size) { write(size, to.initBlobSize()); }
  void operator()(const msg::BlobRefused& refused) { write(refused, to.initBlobRefused()); }
};

}  // namespace

static msg::Data read(schema::DataEnvelope::Reader from) {
  using Envelope = schema::DataEnvelope;
  switch (from.which()) {
    case Envelope::UNSET:
      illegal("the envelope", "has no content");
    case Envelope::HELLO:
      return read(from.getHello());
    case Envelope::WELCOME:
      return read(from.getWelcome());
    case Envelope::REFUSED:
      return read(from.getRefused());
    case Envelope::BLOB_PUT:
      return read(from.getBlobPut());
    case Envelope::BLOB_READY:
      return read(from.getBlobReady());
    case Envelope::BLOB_CHUNK:
      return read(from.getBlobChunk());
    case Envelope::BLOB_CREDIT:
      return read(from.getBlobCredit());
    case Envelope::BLOB_STORED:
      return read(from.getBlobStored());
    case Envelope::BLOB_GET:
      return read(from.getBlobGet());
    case Envelope::BLOB_SIZE:
      return read(from.getBlobSize());
    case Envelope::BLOB_REFUSED:
      return read(from.getBlobRefused());
  }
  throw Unknown{fmt::format("a data message is of the unknown kind {}", unsigned{from.which()})};
}

Bytes encode(const msg::Control& message) {
  capnp::MallocMessageBuilder builder;
  std::visit(ControlWriter{builder.initRoot<schema::ControlEnvelope>()}, message);
  return framed_bytes(builder);
}

Expected<msg::Control> decode_control(std::span<const std::byte> bytes) {
  return decode_framed<msg::Control, schema::ControlEnvelope>(
      bytes, limits::kControlMessageBytesMax, [](auto envelope) { return read(envelope); });
}

Bytes encode(const msg::Data& message) {
  // Almost always a chunk's envelope: a few words, so no large segment is cleared for it.
  constexpr unsigned kFirstSegmentWords = 64;
  capnp::MallocMessageBuilder builder(kFirstSegmentWords);
  std::visit(DataWriter{builder.initRoot<schema::DataEnvelope>()}, message);
  return framed_bytes(builder);
}

Expected<msg::Data> decode_data(std::span<const std::byte> bytes) {
  return decode_framed<msg::Data, schema::DataEnvelope>(
      bytes, kDataEnvelopeBytesMax, [](auto envelope) { return read(envelope); });
}

}  // namespace entente::wire
