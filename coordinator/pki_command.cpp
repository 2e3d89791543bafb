#include "coordinator/pki_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "certs/authority.h"
#include "certs/files.h"
#include "certs/inspect.h"
#include "certs/kit_folder.h"
#include "common/base/quote.h"
#include "common/crypto/kit.h"
#include "common/crypto/pem_files.h"
#include "common/runtime/system_clock.h"

namespace entente::cli {
namespace {

constexpr std::size_t kRequestFileBytesMax = 64 << 10;

struct InitArguments {
  std::string consortium;
  std::filesystem::path folder;
};

// Whom a certificate is for, and how long: the same for issue and sign.
struct MemberArguments {
  std::string role;
  std::string name;
  std::vector<std::string> dns;
  std::vector<std::string> ips;
  std::filesystem::path ca;
  int days = pki::kLeafDays;

  [[nodiscard]] pki::Member member() const {
    return {.role = parse_role(role).value_or(Role::site),
            .name = name,
            .hosts = {.dns = dns, .ips = ips}};
  }
};

struct IssueArguments {
  MemberArguments to;
  pki::KitSettings settings;
  std::filesystem::path out;
};

struct SignArguments {
  MemberArguments to;
  pki::KitSettings settings;
  std::filesystem::path request;
  std::filesystem::path out;
  std::filesystem::path answer;
};

struct RevokeArguments {
  std::string role;
  std::string name;
  std::string serial;
  bool refresh = false;
  std::filesystem::path ca;
  int days = pki::kCrlDays;
};

UnixMillis unix_now() { return system_now().unix_ms; }

// The broker is where every other member dials to; a kit without it would be of no use.
std::optional<Refusal> missing_address(const pki::Member& member, const std::string& broker) {
  const Role role = member.role;
  if (role == Role::broker && member.hosts.dns.empty() && member.hosts.ips.empty()) {
    return Refusal{.code = "usage",
                   .message = "a broker's certificate must say where it is reached",
                   .hint = "add --dns NAME or --ip ADDRESS, once for each"};
  }
  if (role == Role::broker || !broker.empty()) {
    return std::nullopt;
  }
  return Refusal{
      .code = "usage",
      .message = fmt::format("the kit of a {} must say where the broker is", to_string(role)),
      .hint = "add --broker HOST:PORT"};
}

ExitCode wrong_usage(const Options& options, const Refusal& refusal) {
  print_refusal(options, refusal);
  return ExitCode::usage;
}

void report_issued(const Options& options, const pki::Issued& issued,
                   const std::filesystem::path& place, std::string_view next) {
  const pki::IndexRow& row = issued.row;
  if (options.json) {
    print_json({{"identity", issued.identity.uri()},
                {"path", place.native()},
                {"serial", row.serial},
                {"sha256", row.fingerprint.hex()},
                {"not_before", format_utc(row.validity.not_before)},
                {"not_after", format_utc(row.validity.not_after)}});
    return;
  }
  fmt::print("{} is a member of {} until {}\n", issued.identity.path(),
             issued.identity.consortium.str(), format_utc(row.validity.not_after));
  print_fields(
      {{"written to", place.native()}, {"serial", row.serial}, {"sha256", row.fingerprint.hex()}});
  fmt::print("next: {}\n", next);
}

ExitCode run_init(const Options& options, const InitArguments& arguments) {
  const auto authority = pki::Authority::create(
      arguments.folder, *ConsortiumId::parse(arguments.consortium), unix_now());
  if (!authority) {
    return print_refusal(options, authority.error());
  }
  if (options.json) {
    print_json({{"consortium", arguments.consortium}, {"path", arguments.folder.native()}});
    return ExitCode::done;
  }
  fmt::print("{} has a CA in {}\n", arguments.consortium, arguments.folder.native());
  fmt::print(
      "next: keep ca-key.pem off line and backed up; then entente pki issue broker NAME "
      "--ca {} --dns HOST --out DIR\n",
      arguments.folder.native());
  return ExitCode::done;
}

ExitCode run_issue(const Options& options, const IssueArguments& arguments) {
  const pki::Member member = arguments.to.member();
  if (const auto missing = missing_address(member, arguments.settings.broker)) {
    return wrong_usage(options, *missing);
  }
  auto authority = pki::Authority::open(arguments.to.ca);
  if (!authority) {
    return print_refusal(options, authority.error());
  }
  const auto issued = pki::issue_kit(*authority, member, arguments.settings,
                                     pki::valid_for(unix_now(), arguments.to.days), arguments.out);
  if (!issued) {
    return print_refusal(options, issued.error());
  }
  report_issued(options, *issued, arguments.out,
                "bring the folder to the member over a private channel; it holds the key");
  return ExitCode::done;
}

ExitCode run_request(const Options& options, const std::filesystem::path& out) {
  const auto request = pki::request_kit(out);
  if (!request) {
    return print_refusal(options, request.error());
  }
  const std::filesystem::path file = out / "request.csr";
  if (options.json) {
    print_json({{"path", file.native()}});
    return ExitCode::done;
  }
  fmt::print("made a key, which stays in {}, and the request {}\n", out.native(), file.native());
  fmt::print(
      "next: send {} to your consortium's operator, and put the answer (cert.pem, ca.pem, "
      "kit.toml) into {}\n",
      file.native(), out.native());
  return ExitCode::done;
}

// Writes the certificate alone, or with all that the member's kit still lacks.
Expected<void> write_answer(const SignArguments& arguments, const pki::Authority& authority,
                            const pki::Issued& issued) {
  if (arguments.answer.empty()) {
    return pki::write_new_file(arguments.out, issued.certificate_pem, 0644);
  }
  pki::make_private_folder(arguments.answer);
  return pki::complete_kit(arguments.answer, authority.consortium(), authority.root_pem(),
                           issued.certificate_pem, arguments.settings);
}

ExitCode run_sign(const Options& options, const SignArguments& arguments) {
  const pki::Member member = arguments.to.member();
  if (!arguments.answer.empty()) {
    if (const auto missing = missing_address(member, arguments.settings.broker)) {
      return wrong_usage(options, *missing);
    }
  }
  auto authority = pki::Authority::open(arguments.to.ca);
  if (!authority) {
    return print_refusal(options, authority.error());
  }
  const auto request = read_small_file(arguments.request, kRequestFileBytesMax);
  if (!request) {
    return print_refusal(options, {.code = "request_invalid",
                                   .message = request.error().message,
                                   .hint = "name the member's request with --csr FILE"});
  }
  const auto issued =
      authority->sign_request(*request, member, pki::valid_for(unix_now(), arguments.to.days));
  if (!issued) {
    return print_refusal(options, issued.error());
  }
  if (const auto written = write_answer(arguments, *authority, *issued); !written) {
    return print_refusal(options, written.error());
  }
  const bool whole = !arguments.answer.empty();
  report_issued(options, *issued, whole ? arguments.answer : arguments.out,
                whole ? "send the folder's files to the member, who puts them beside key.pem"
                      : "send it and ca.pem to the member, who puts both beside key.pem");
  return ExitCode::done;
}

ExitCode report_revoked(const Options& options, const RevokeArguments& arguments,
                        const std::vector<pki::IndexRow>& revoked) {
  const std::string list = (arguments.ca / "crl.pem").native();
  if (options.json) {
    nlohmann::json rows = nlohmann::json::array();
    for (const pki::IndexRow& row : revoked) {
      rows.push_back({{"member", row.member}, {"serial", row.serial}});
    }
    print_json({{"revoked", rows}, {"crl", list}, {"crl_days", arguments.days}});
    return ExitCode::done;
  }
  for (const pki::IndexRow& row : revoked) {
    fmt::print("revoked {} (serial {})\n", row.member, row.serial);
  }
  fmt::print("wrote {}, good for {} days\n", list, arguments.days);
  fmt::print(
      "next: bring it to the broker's kit and restart the broker; kit.toml names it with "
      "crl = \"crl.pem\"\n");
  return ExitCode::done;
}

ExitCode run_revoke(const Options& options, const RevokeArguments& arguments) {
  const bool by_member = !arguments.role.empty() && !arguments.name.empty();
  const int ways = int{by_member} + int{!arguments.serial.empty()} + int{arguments.refresh};
  if (ways != 1) {
    return wrong_usage(options, {.code = "usage",
                                 .message = "one of ROLE NAME, --serial and --refresh is needed",
                                 .hint = "for example: entente pki revoke site north --ca DIR"});
  }
  auto authority = pki::Authority::open(arguments.ca);
  if (!authority) {
    return print_refusal(options, authority.error());
  }
  if (arguments.refresh) {
    const auto refreshed = authority->refresh_crl(unix_now(), arguments.days);
    return refreshed ? report_revoked(options, arguments, {})
                     : print_refusal(options, refreshed.error());
  }
  const auto revoked =
      by_member ? authority->revoke_member(fmt::format("{}/{}", arguments.role, arguments.name),
                                           unix_now(), arguments.days)
                : authority->revoke_serial(arguments.serial, unix_now(), arguments.days);
  return revoked ? report_revoked(options, arguments, *revoked)
                 : print_refusal(options, revoked.error());
}

std::string purposes_text(const Purposes& purposes) {
  if (purposes.server && purposes.client) {
    return "serverAuth, clientAuth";
  }
  return purposes.server ? "serverAuth" : purposes.client ? "clientAuth" : "none";
}

std::string quoted_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) {
    list += (list.empty() ? "" : ", ") + quote(text);
  }
  return list;
}

// What load_kit says about a kit: empty for a good one and for a lone certificate.
std::optional<Refusal> kit_problem(const std::filesystem::path& path) {
  if (std::error_code ignored; !std::filesystem::is_directory(path, ignored)) {
    return std::nullopt;
  }
  const auto kit = load_kit(path, unix_now());
  return kit ? std::nullopt : std::optional(kit.error());
}

nlohmann::json inspection_json(const pki::Inspection& seen, const std::optional<Refusal>& problem) {
  nlohmann::json json{{"identity", nullptr},
                      {"ca", seen.is_ca},
                      {"not_before", format_utc(seen.validity.not_before)},
                      {"not_after", format_utc(seen.validity.not_after)},
                      {"sha256", seen.fingerprint.hex()},
                      {"serial", seen.serial},
                      {"issuer", seen.issuer},
                      {"server_auth", seen.purposes.server},
                      {"client_auth", seen.purposes.client},
                      {"uris", seen.uris},
                      {"dns", seen.dns},
                      {"ips", seen.ips},
                      {"problem", nullptr}};
  if (seen.identity) {
    json["identity"] = {{"consortium", seen.identity->consortium.str()},
                        {"role", to_string(seen.identity->role)},
                        {"name", seen.identity->name}};
  }
  if (problem) {
    json["problem"] = problem->message;
  }
  return json;
}

void print_inspection(const pki::Inspection& seen) {
  const std::string title = seen.is_ca      ? "a CA's root certificate"
                            : seen.identity ? fmt::format("{} of {}", seen.identity->path(),
                                                          seen.identity->consortium.str())
                                            : seen.identity.error().message;
  fmt::print("{}\n", title);
  print_fields({{"valid from", format_utc(seen.validity.not_before)},
                {"valid until", format_utc(seen.validity.not_after)},
                {"sha256", seen.fingerprint.hex()},
                {"serial", seen.serial},
                {"issuer", seen.issuer},
                {"purpose", seen.is_ca ? "" : purposes_text(seen.purposes)},
                {"uri", quoted_list(seen.uris)},
                {"dns", quoted_list(seen.dns)},
                {"ip", quoted_list(seen.ips)}});
}

// Looking succeeds whatever there is to see; a kit that would not work is a refusal.
ExitCode run_inspect(const Options& options, const std::filesystem::path& path) {
  const auto seen = pki::inspect(path);
  if (!seen) {
    return print_refusal(options, seen.error());
  }
  const auto problem = kit_problem(path);
  if (options.json) {
    print_json(inspection_json(*seen, problem));
    return problem ? exit_code_for(*problem) : ExitCode::done;
  }
  print_inspection(*seen);
  return problem ? print_refusal(options, *problem) : ExitCode::done;
}

const CLI::Validator kIsName(
    [](std::string& text) {
      return is_name(text) ? std::string()
                           : quote(text) + " is no name: 1 to 63 characters of a-z, 0-9, . and -";
    },
    "NAME");
const CLI::Validator kIsEndpoint(
    [](std::string& text) {
      return is_endpoint(text) ? std::string()
                               : quote(text) +
                                     " is not of the form host:port, for example "
                                     "broker.example:7100";
    },
    "HOST:PORT");
const CLI::IsMember kIsRole(std::vector<std::string>{"broker", "site", "coordinator", "operator",
                                                     "auditor"});
const CLI::Range kDaysRange(1, pki::kRootDays);

void add_member(CLI::App& command, MemberArguments& to) {
  command.add_option("ROLE", to.role, "broker, site, coordinator, operator or auditor")
      ->required()
      ->check(kIsRole);
  command.add_option("NAME", to.name, "the member's name")->required()->check(kIsName);
  command.add_option("--ca", to.ca, "the CA's folder")->required();
  command.add_option("--dns", to.dns, "a host name of the broker (repeatable)");
  command.add_option("--ip", to.ips, "an IP address of the broker (repeatable)");
  command.add_option("--days", to.days, "how long the certificate lives")
      ->check(kDaysRange)
      ->capture_default_str();
}

void add_settings(CLI::App& command, pki::KitSettings& settings) {
  command.add_option("--broker", settings.broker, "where the member dials to")->check(kIsEndpoint);
  command.add_option("--proxy", settings.proxy, "an HTTP CONNECT proxy")->check(kIsEndpoint);
  command.add_option("--crl", settings.crl, "the broker's revocation list, from the kit's folder");
}

// Makes one subcommand whose arguments live as long as the action that reads them.
template <class Arguments, class Declare, class Run>
void add(CLI::App& pki, Action& chosen, const Options& options, const char* name,
         const char* description, Declare declare, Run run) {
  CLI::App* command = pki.add_subcommand(name, description);
  const auto arguments = std::make_shared<Arguments>();
  declare(*command, *arguments);
  command->callback([&chosen, &options, arguments, run] {
    chosen = [&options, arguments, run] { return run(options, *arguments); };
  });
}

void add_makers(CLI::App& pki, const Options& options, Action& chosen) {
  add<InitArguments>(
      pki, chosen, options, "init", "Make a consortium's certificate authority",
      [](CLI::App& command, InitArguments& to) {
        command.add_option("--consortium", to.consortium, "the consortium's name")
            ->required()
            ->check(kIsName);
        command.add_option("--dir", to.folder, "the CA's folder")->required();
      },
      run_init);
  add<IssueArguments>(
      pki, chosen, options, "issue", "Make a ready kit, key included, for a trial",
      [](CLI::App& command, IssueArguments& to) {
        add_member(command, to.to);
        add_settings(command, to.settings);
        command.add_option("--out", to.out, "the kit's folder")->required();
      },
      run_issue);
  add<std::filesystem::path>(
      pki, chosen, options, "request", "At a member: make a key and a request for its certificate",
      [](CLI::App& command, std::filesystem::path& out) {
        command.add_option("--out", out, "the kit's folder")->required();
      },
      run_request);
  add<SignArguments>(
      pki, chosen, options, "sign", "At the operator: answer a member's request",
      [](CLI::App& command, SignArguments& to) {
        add_member(command, to.to);
        add_settings(command, to.settings);
        command.add_option("--csr", to.request, "the member's request.csr")->required();
        CLI::Option_group* place = command.add_option_group("answer");
        place->add_option("--out", to.out, "write the certificate alone to this file");
        place->add_option("--answer", to.answer,
                          "write cert.pem, ca.pem and kit.toml into this folder");
        place->require_option(1);
      },
      run_sign);
}

void add_rest(CLI::App& pki, const Options& options, Action& chosen) {
  add<RevokeArguments>(
      pki, chosen, options, "revoke", "Revoke a member's certificates and renew the list",
      [](CLI::App& command, RevokeArguments& to) {
        command.add_option("ROLE", to.role, "the member's role")->check(kIsRole);
        command.add_option("NAME", to.name, "the member's name")->check(kIsName);
        command.add_option("--ca", to.ca, "the CA's folder")->required();
        command.add_option("--serial", to.serial, "revoke this one certificate");
        command.add_flag("--refresh", to.refresh, "revoke nothing, give the list a later date");
        command.add_option("--days", to.days, "how long the list is good")
            ->check(kDaysRange)
            ->capture_default_str();
      },
      run_revoke);
  add<std::filesystem::path>(
      pki, chosen, options, "inspect", "Show what a certificate or a kit says, and what is wrong",
      [](CLI::App& command, std::filesystem::path& path) {
        command.add_option("path", path, "a certificate (PEM) or a kit's folder")->required();
      },
      run_inspect);
}

}  // namespace

void add_pki_command(CLI::App& app, const Options& options, Action& chosen) {
  CLI::App* pki = app.add_subcommand("pki", "Certificates: the CA, kits, revocation");
  pki->require_subcommand(1);
  add_makers(*pki, options, chosen);
  add_rest(*pki, options, chosen);
}

}  // namespace entente::cli
