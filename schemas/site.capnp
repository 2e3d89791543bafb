@0xc4b859cdc7006162;
# What a site tells the consortium about itself.
#
#   site    -> Advert         after Welcome, and again after every change
#
# An advert replaces the one before it as a whole; the broker never merges two. A duplicate changes
# nothing. It lives in the broker's database until the next one, so that people can see what a site
# that is away had to offer. It describes data by name, shape and number of examples; it carries no
# example, and no statistic of any.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("entente::schema");

struct DatasetAdvert {
  name @0 :Text;
  # The name that jobs ask for, unique within the advert. 1 to 255 bytes.

  kind @1 :Text;
  # How the site reads it, for example "idx" or "csv". 1 to 255 bytes.

  examples @2 :UInt64;
  # Number of examples, at most 2^40.

  exampleShape @3 :List(Int64);
  # Dimensions of one example without the batch dimension: [1, 28, 28] is channels, height, width.
  # At most 8, each at least 1.

  classes @4 :UInt32;
  # Labels run from 0 to classes - 1. 0: the dataset has no class labels, see targets.

  classNames @5 :List(Text);
  # What the labels mean, by label: none, or as many as `classes`. Each 1 to 255 bytes.

  tags @6 :List(Text);
  # The site's own words for it: "ct", "2024". At most 64 names, none twice.

  features @7 :List(Text);
  # What the inputs are called, in the order in which the model gets them; none where they have no
  # names. At most 1024, none twice. Each 1 to 255 bytes.

  targets @8 :UInt32;
  # Numbers to predict of an example that has no class label, at most 1024. 0: it has one.

  vocabulary @9 :UInt32;
  # Inputs are tokens from 0 to vocabulary - 1, at most 2^24. 0: inputs are numbers.
}

struct Resources {
  # What the site's machine gives to Entente, for all its slots together. 0: not said.

  cores @0 :UInt32;
  # At most 65,536.

  memoryBytes @1 :UInt64;
  # At most 2^50.

  gpus @2 :UInt32;
  # At most 4096.
}

struct Label {
  key @0 :Text;
  # A name, unique within the advert.

  value @1 :Text;
  # 1 to 255 bytes.
}

struct SiteAdvert {
  datasets @0 :List(DatasetAdvert);
  # At most 1000.

  slots @1 :UInt32;
  # Tasks that the site runs at the same time, at most 4096. 0: none for now.

  threadsPerSlot @2 :UInt32;
  # Threads of one task, at most 4096. A fixed setting of the site, because LibTorch's results
  # depend on it in the last bits.

  version @3 :Text;
  # Of the agent's software, for people: at most 255 bytes.

  resources @4 :Resources;

  jurisdiction @5 :Text;
  # Whose law the data is under, in capitals, digits and dashes: "DE", "US-CA". At most 16 bytes.
  # Empty: not said.

  labels @6 :List(Label);
  # The site's own: "network" is "university". At most 64, in ascending order of their keys.

  policy @7 :Text;
  # Which clauses the site's policy has, for people: at most 4096 bytes. The policy itself stays at
  # the site.

  paused @8 :Bool;
  # The site's people have stopped all work. It takes no offers and works on no task until an advert
  # says otherwise; what is open waits as for a site that is away.

  pauseReason @9 :Text;
  # Why, for people: at most 4096 bytes.
}

struct Advert {
  advert @0 :SiteAdvert;
}
