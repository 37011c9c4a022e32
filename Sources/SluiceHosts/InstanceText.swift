internal import SluiceModel
internal import SluiceRollout

/// The texts that Sluice leaves on a host for one instance.
struct InstanceText {
  let service: ServiceName
  let instance: Instance
  let release: Release
  let host: Host

  var files: String { "\(host.root)/\(service)/releases/\(release.digest)/files" }
  var directory: String { "\(host.root)/\(service)/instances/\(instance.number)" }
  var secretsVersion: String { release.spec.run.secrets.isEmpty ? "" : instance.secrets }

  /// `${ADDRESS}`, `${PORT}`, `${INSTANCE}` and `${RELEASE}` replaced, once and from left to right.
  func substitute(_ text: String) -> String {
    let values = [
      "${ADDRESS}": instance.address, "${PORT}": "\(instance.port)", "${INSTANCE}": "\(instance.number)",
      "${RELEASE}": "\(release.number.number)",
    ]
    var result = ""
    var rest = text[...]
    while let dollar = rest.firstIndex(of: "$") {
      result += rest[..<dollar]
      rest = rest[dollar...]
      if let end = rest.firstIndex(of: "}"), let value = values[String(rest[...end])] {
        result += value
        rest = rest[rest.index(after: end)...]
      } else {
        result += "$"
        rest = rest.dropFirst()
      }
    }
    return result + rest
  }

  var program: String { substitute(release.spec.run.command.first ?? "") }
  var arguments: [String] { release.spec.run.command.dropFirst().map(substitute) }

  /// What scripts read about the instance: shell assignments.
  var settings: String {
    let values = [
      ("i_port", "\(instance.port)"), ("i_address", instance.address), ("i_release", release.digest.rawValue),
      ("i_secrets", secretsVersion),
      ("i_signal", release.spec.stop.signal), ("i_kill_after", "\(release.spec.stop.killAfter.value)"),
      ("i_pre_stop", Shell.words((release.spec.stop.preStop ?? []).map(substitute))), ("i_files", files),
      ("i_user", release.spec.run.user ?? ""),
      ("i_arguments", Shell.words(arguments)), ("i_named", Shell.words(named.map { "\($0)=\($1)" })),
    ]
    return values.map { "\($0)=\(Shell.quote($1))\n" }.joined()
  }

  /// The environment but for secrets. What the manifest sets goes over Sluice's own names.
  var environment: String {
    environment(with: ["ADDRESS": instance.address, "PORT": "\(instance.port)", "INSTANCE": "\(instance.number)"])
  }

  func environment(with own: [String: String]) -> String {
    var values = own
    values["RELEASE"] = "\(release.number.number)"
    for (name, value) in release.spec.run.env where !Shell.isOwn(name) { values[name] = substitute(value) }
    return values.sorted { $0.key < $1.key }.map(Shell.environmentLine).joined()
  }

  /// The part of the environment that a shell cannot be given by a file that it reads.
  private var named: [(String, String)] {
    release.spec.run.env.filter { Shell.isOwn($0.key) }.map { ($0.key, substitute($0.value)) }.sorted { $0.0 < $1.0 }
  }
  /// That part for systemd, which has no such trouble.
  var namedEnvironment: String { named.map(Shell.environmentLine).joined() }

  /// For people: scripts read `settings`.
  var json: String {
    JSONText.object([
      ("service", .string(service.rawValue)), ("instance", .number(Int64(instance.number))),
      ("release", .number(Int64(release.number.number))),
      ("digest", .string(release.digest.rawValue)), ("address", .string(instance.address)), ("port", .number(Int64(instance.port))),
      ("secrets", .string(secretsVersion)),
    ])
  }

  /// What `release.json` says.
  static func json(of release: Release, service: ServiceName) -> String {
    let run = release.spec.run
    return JSONText.object([
      ("service", .string(service.rawValue)), ("release", .number(Int64(release.number.number))),
      ("digest", .string(release.digest.rawValue)),
      ("artifact", .string(release.spec.artifact.rawValue)), ("command", .list(run.command.map { .string($0) })),
      ("env", .list(run.env.keys.sorted().map { .string($0) })), ("secrets", .list(run.secrets.sorted().map { .string($0) })),
      ("user", .string(run.user ?? "")),
    ])
  }

  // MARK: systemd

  /// The unit up to its ExecStart, which the host completes with the program it finds.
  var unitHead: String {
    let run = release.spec.run
    var lines = [
      "# Written by Sluice.", "[Unit]", "Description=Sluice: instance \(instance.number) of \(service), release \(release.number.number)",
      "After=network.target", "StartLimitIntervalSec=0", "", "[Install]", "WantedBy=multi-user.target", "",
      "[Service]",
      "Type=exec", "WorkingDirectory=\(SystemdText.path(files))", "EnvironmentFile=\(SystemdText.path(directory))/env",
      "EnvironmentFile=-\(SystemdText.path(directory))/env.named",
    ]
    if !secretsVersion.isEmpty { lines.append("EnvironmentFile=\(SystemdText.path("\(host.root)/\(service)/secrets/\(secretsVersion)"))") }
    if let user = run.user { lines.append("User=\(user)") }
    if let memory = run.limits.memoryBytes { lines.append("MemoryMax=\(memory)") }
    if let cpu = run.limits.cpuBasisPoints { lines.append("CPUQuota=\(max(1, cpu / 100))%") }
    lines += [
      // As root whatever the instance runs as, and no failure of it is the instance's.
      "ExecStartPre=-+/bin/sh \(SystemdText.argument("\(directory)/pause")) \(SystemdText.argument(directory))",
      "ExecStopPost=-+/bin/sh \(SystemdText.argument("\(directory)/pause")) \(SystemdText.argument(directory)) ended",
      "Restart=always", "RestartSec=1", "KillSignal=SIG\(release.spec.stop.signal)",
      "TimeoutStopSec=\(release.spec.stop.killAfter.value)ms",
      "SyslogIdentifier=\(service)-\(instance.number)",
    ]
    return lines.joined(separator: "\n")
  }

  /// What follows the program in the unit.
  var unitTail: String { arguments.map { " " + SystemdText.argument($0) }.joined() + "\n" }
}

extension Host {
  /// On this very machine (several hosts of a trial may share it) `auto` makes no units: they would outlive the trial and meet under one name.
  func runtime(for wanted: RuntimeKind) -> RuntimeKind {
    let isHere = address == "localhost" || address == "::1" || address.hasPrefix("127.")
    return wanted == .auto && isHere ? .process : wanted
  }
}

/// Text for unit files (systemd.service(5), systemd.syntax(7)).
enum SystemdText {
  /// One argument of a command line: no specifier, variable or separator in it means anything.
  static func argument(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "%": result += "%%"
      case "$": result += "$$"
      case ";": result += "\\x3b"
      case _ where scalar.value < 32 || scalar.value == 127: result += "\\x" + Token.hexadecimal(UInt8(scalar.value))
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// A path that is the whole value of a setting.
  static func path(_ text: String) -> String { text.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "%%") }
}

/// Just enough JSON to describe something to people and their tools.
enum JSONText {
  case string(String)
  case number(Int64)
  case list([JSONText])

  static func object(_ members: [(String, JSONText)]) -> String {
    "{" + members.map { "\(JSONText.string($0).text):\($1.text)" }.joined(separator: ",") + "}\n"
  }

  var text: String {
    switch self {
    case .number(let number): return "\(number)"
    case .list(let items): return "[" + items.map(\.text).joined(separator: ",") + "]"
    case .string(let string):
      var result = "\""
      for scalar in string.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case _ where scalar.value < 32: result += "\\u00" + Token.hexadecimal(UInt8(scalar.value))
        default: result.unicodeScalars.append(scalar)
        }
      }
      return result + "\""
    }
  }
}
