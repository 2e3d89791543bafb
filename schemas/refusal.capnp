@0x93c0986b49c42d68;
# A refusal: an expected "no", told to whoever has to decide what to do about it.
#
# Refusals travel inside other messages: they end a session (session.capnp), decline a job
# (job.capnp), judge a result or explain a failure (task.capnp), answer a request
# (coordinator.capnp), and turn a transfer away (blob.capnp). A refusal has no id of its own; it
# belongs to the message that carries it, and to that message's key.
#
# `code` is a promise: once published, a code keeps its meaning. Programs decide by `code` and
# `scope`, never by the sentences, which may be reworded at any time.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

enum Scope {
  # How far a refusal reaches. One site's fault never ends a job by itself, and one job's fault
  # never ends the broker.

  task @0;    # this attempt at this task
  site @1;    # this site's part
  job @2;     # the whole job
  broker @3;  # everything that this broker does
}

struct Refusal {
  code @0 :Text;
  # Stable and for programs: 1 to 64 bytes of [a-z0-9_], for example "dataset_unknown". Mandatory.

  message @1 :Text;
  # One sentence for people, without a final full stop: the thing and the cause. At most 4096 bytes;
  # a receiver cuts what is longer and replaces control characters.

  hint @2 :Text;
  # The next step, for people. Empty when there is nothing sensible to do. Bounded like `message`.

  scope @3 :Scope;
}
