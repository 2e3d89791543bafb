#include "common/wire/blob_wire.h"

#include "common/base/limits.h"
#include "common/wire/values.h"

namespace entente::wire {
namespace {

template <class Reader>
BlobId blob_of(Reader from) {
  return read_digest(from.getBlob(), "blob");
}

std::uint64_t bytes_within_blob(std::uint64_t bytes, std::string_view what) {
  return at_most(bytes, limits::kBlobBytesMax, what);
}

}  // namespace

void write(const msg::BlobPut& put, schema::BlobPut::Builder to) {
  to.setBlob(data(put.blob));
  to.setBytes(put.bytes);
}

msg::BlobPut read(schema::BlobPut::Reader from) {
  return {.blob = blob_of(from), .bytes = bytes_within_blob(from.getBytes(), "blobPut.bytes")};
}

void write(const msg::BlobReady& ready, schema::BlobReady::Builder to) {
  to.setBlob(data(ready.blob));
  to.setOffset(ready.offset);
  to.setCredit(ready.credit);
}

msg::BlobReady read(schema::BlobReady::Reader from) {
  return {.blob = blob_of(from),
          .offset = bytes_within_blob(from.getOffset(), "blobReady.offset"),
          .credit = from.getCredit()};
}

void write(const msg::BlobChunk& chunk, schema::BlobChunk::Builder to) {
  to.setBlob(data(chunk.blob));
  to.setOffset(chunk.offset);
}

msg::BlobChunk read(schema::BlobChunk::Reader from) {
  return {.blob = blob_of(from), .offset = bytes_within_blob(from.getOffset(), "blobChunk.offset")};
}

void write(const msg::BlobCredit& credit, schema::BlobCredit::Builder to) {
  to.setBlob(data(credit.blob));
  to.setChunks(credit.chunks);
}

msg::BlobCredit read(schema::BlobCredit::Reader from) {
  return {.blob = blob_of(from), .chunks = from.getChunks()};
}

void write(const msg::BlobStored& stored, schema::BlobStored::Builder to) {
  to.setBlob(data(stored.blob));
}

msg::BlobStored read(schema::BlobStored::Reader from) { return {.blob = blob_of(from)}; }

void write(const msg::BlobGet& get, schema::BlobGet::Builder to) {
  to.setBlob(data(get.blob));
  to.setOffset(get.offset);
  to.setCredit(get.credit);
}

msg::BlobGet read(schema::BlobGet::Reader from) {
  return {.blob = blob_of(from),
          .offset = bytes_within_blob(from.getOffset(), "blobGet.offset"),
          .credit = from.getCredit()};
}

void write(const msg::BlobSize& size, schema::BlobSize::Builder to) {
  to.setBlob(data(size.blob));
  to.setBytes(size.bytes);
}

msg::BlobSize read(schema::BlobSize::Reader from) {
  return {.blob = blob_of(from), .bytes = bytes_within_blob(from.getBytes(), "blobSize.bytes")};
}

void write(const msg::BlobRefused& refused, schema::BlobRefused::Builder to) {
  to.setBlob(data(refused.blob));
  write(refused.reason, to.initReason());
}

msg::BlobRefused read(schema::BlobRefused::Reader from) {
  return {.blob = blob_of(from), .reason = read(from.getReason())};
}

}  // namespace entente::wire
