// The data plane's messages, from and to schemas/blob.capnp.
#pragma once

#include <schemas/blob.capnp.h>

#include "common/domain/messages.h"

namespace entente::wire {

void write(const msg::BlobPut& put, schema::BlobPut::Builder to);
void write(const msg::BlobReady& ready, schema::BlobReady::Builder to);
void write(const msg::BlobChunk& chunk, schema::BlobChunk::Builder to);
void write(const msg::BlobCredit& credit, schema::BlobCredit::Builder to);
void write(const msg::BlobStored& stored, schema::BlobStored::Builder to);
void write(const msg::BlobGet& get, schema::BlobGet::Builder to);
void write(const msg::BlobSize& size, schema::BlobSize::Builder to);
void write(const msg::BlobRefused& refused, schema::BlobRefused::Builder to);

[[nodiscard]] msg::BlobPut read(schema::BlobPut::Reader from);
[[nodiscard]] msg::BlobReady read(schema::BlobReady::Reader from);
[[nodiscard]] msg::BlobChunk read(schema::BlobChunk::Reader from);
[[nodiscard]] msg::BlobCredit read(schema::BlobCredit::Reader from);
[[nodiscard]] msg::BlobStored read(schema::BlobStored::Reader from);
[[nodiscard]] msg::BlobGet read(schema::BlobGet::Reader from);
[[nodiscard]] msg::BlobSize read(schema::BlobSize::Reader from);
[[nodiscard]] msg::BlobRefused read(schema::BlobRefused::Reader from);

}  // namespace entente::wire
