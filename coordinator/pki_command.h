// `entente pki`: the consortium's certificates, from the CA to a member's kit.
//
//   entente pki init --consortium demo --dir ca
//   entente pki issue site north --ca ca --broker host:port --out kits/north
//   entente pki issue broker main --ca ca --dns broker.example --out kits/broker
//   entente pki request --out kits/north                 at the member: the key stays there
//   entente pki sign site north --ca ca --csr request.csr --out cert.pem
//   entente pki revoke site north --ca ca                or --serial, or --refresh
//   entente pki inspect kits/north
//
// All of it works on files alone; nothing talks to a broker.
#pragma once

#include "coordinator/output.h"

namespace CLI {
class App;
}

namespace entente::cli {

// Adds the command to `app`. Parsing stores into `chosen` what is to be run; `options` and `chosen`
// must outlive it.
void add_pki_command(CLI::App& app, const Options& options, Action& chosen);

}  // namespace entente::cli
