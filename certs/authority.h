// The consortium's certificate authority: a folder that its operator keeps off line.
//
//   ca-key.pem   the root's private key, mode 0600: whoever holds it can become any member
//   ca.pem       the root certificate, given to every member
//   issued.tsv   what was signed and what was revoked (issued_index.h)
//   crl.pem      the current revocation list, given to brokers
//
//  - The signer says who a certificate is for. A request contributes a key and the proof that its
//    sender holds it, nothing else; names in it are not even read.
//  - A certificate is written down in the index before anybody gets it: one that the index does not
//    know could never be revoked.
//  - Signing and revoking hold a lock on the folder, so several processes may work at once.
//
// No clock in here: times are passed in. Disk failures throw std::system_error.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "certs/issued_index.h"
#include "certs/member.h"
#include "common/base/refusal.h"
#include "common/crypto/certificate.h"

namespace entente::pki {

struct Issued {
  Identity identity;
  std::string certificate_pem;
  IndexRow row;
};

class Authority {
 public:
  // Makes the folder (mode 0700) with a fresh root, valid from `now` for kRootDays, an empty index
  // and an empty revocation list. Refuses with "ca_exists".
  [[nodiscard]] static Expected<Authority> create(const std::filesystem::path& folder,
                                                  const ConsortiumId& consortium, UnixMillis now);
  // Refuses with "ca_missing", "ca_invalid" or, for a key that others may read, "kit_unsafe".
  [[nodiscard]] static Expected<Authority> open(const std::filesystem::path& folder);
  ~Authority();
  Authority(Authority&&) noexcept;
  Authority& operator=(Authority&&) noexcept;

  [[nodiscard]] const ConsortiumId& consortium() const;
  [[nodiscard]] const std::filesystem::path& folder() const;
  [[nodiscard]] const std::string& root_pem() const;

  // Signs the key of a request (PEM) for `member`. Refuses with "request_invalid" (not a request,
  // a wrong signature, a key that is neither P-256 nor Ed25519), "profile_invalid", "ca_invalid".
  [[nodiscard]] Expected<Issued> sign_request(std::string_view request_pem, const Member& member,
                                              Validity validity);

  // Revokes every certificate of a member ("site/north") that is not revoked yet, or the one with
  // `serial`, and writes crl.pem, good for `crl_days`. Returns what was revoked; refuses with
  // "certificate_unknown" when that is nothing.
  [[nodiscard]] Expected<std::vector<IndexRow>> revoke_member(std::string_view member,
                                                              UnixMillis now, int crl_days);
  [[nodiscard]] Expected<std::vector<IndexRow>> revoke_serial(std::string_view serial,
                                                              UnixMillis now, int crl_days);
  // Writes crl.pem anew with a later date. A broker with an expired list refuses everybody.
  [[nodiscard]] Expected<void> refresh_crl(UnixMillis now, int crl_days);

  [[nodiscard]] Expected<std::vector<IndexRow>> issued() const;

 private:
  struct State;
  explicit Authority(std::unique_ptr<State> state);
  template <class Matches>
  Expected<std::vector<IndexRow>> revoke(Matches matches, UnixMillis now, int crl_days);

  std::unique_ptr<State> state_;
};

}  // namespace entente::pki
