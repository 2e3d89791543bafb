@0xd3511dd7b3803429;
# Opening a session: Hello, then Welcome or Refused. The same on both planes.
#
# A session is one TLS connection on one plane. The plane is chosen by ALPN ("entente-control/1" or
# "entente-data/1") before the first byte of this protocol; the peer's identity is read from its
# certificate and is never part of a message.
#
#   peer    -> Hello          first message of every session; sent once
#   broker  -> Welcome        the session is open; the peer is "connected" from here on, not
#                             earlier: in TLS 1.3 a client's handshake succeeds before the server
#                             has judged the client's certificate
#   broker  -> Refused        the broker will not serve this session and closes it
#
# Before Welcome the peer sends nothing else. One Hello opens one session; there is no second one.
#
# Ids and their lifetimes
#
#   instance  chosen at random by an installation when it is set up, kept as long as it exists.
#             Tells a reconnect from an impostor: a site with the same instance supersedes its own
#             half-open older session; a second site with the same identity but another instance is
#             refused while the first one is connected.
#   session   counted by the broker from 1 and never used twice by one broker process. It names the
#             connection in both sides' logs and has no meaning beyond it.
#
# Nothing in a session survives it. After a reconnect both sides repeat what is still open (the
# broker its offers, the site its announcements); that is why every message that changes something
# carries a key and may arrive twice.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

using Refusal = import "refusal.capnp".Refusal;

struct Hello {
  protocolMin @0 :UInt32;
  protocolMax @1 :UInt32;
  # The versions of the protocol that the peer speaks, both included: 1 <= min <= max. The broker
  # picks the highest version that both speak, or refuses the session.

  version @2 :Text;
  # Of the peer's software, for people and logs: at most 255 bytes. Nothing is decided by it.

  instance @3 :UInt64;
  # See above. Not a secret.

  capabilities @4 :List(Text);
  # What the peer can do beyond its protocol version: at most 64 names of at most 255 bytes. A
  # receiver ignores names that it does not know.
}

struct Welcome {
  protocol @0 :UInt32;
  # The version that this session speaks, within the range of the Hello.

  session @1 :UInt64;
  # See above.

  broker @2 :Text;
  # The name in the broker's certificate.

  version @3 :Text;
  # Of the broker's software, for people: at most 255 bytes.

  capabilities @4 :List(Text);
  # As in Hello, of the broker.
}

struct Refused {
  reason @0 :Refusal;
  # Why the session is not served. A peer dials again with growing pauses, whatever the code says:
  # the cause may be removed by people at any time.
}
