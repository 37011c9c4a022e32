internal import Glibc
package import SluiceModel
internal import SluiceSSH
internal import SluiceRollout

/// What `sluice hosts check` shows of one host.
package struct HostReport: Hashable, Sendable {
  /// Something that keeps Sluice from releasing there, or will hurt later.
  package struct Problem: Hashable, Sendable {
    package var message: String
    /// What to do; may be empty.
    package var remedy: String
    /// A warning lets releases go on.
    package var isWarning: Bool

    package init(_ message: String, remedy: String, isWarning: Bool = false) {
      self.message = message
      self.remedy = remedy
      self.isWarning = isWarning
    }
  }

  package var host: HostName
  package var rack: RackName
  /// Whether SSH got in.
  package var isReachable = false
  /// Why SSH did not get in, in a word or two: `unreachable`, `untrusted` …; nil where it did.
  package var refusal: String?
  /// From nothing to an authenticated connection.
  package var connectTime: Duration?
  /// One command, there and back.
  package var latency: Duration?
  /// Who the scripts run as, after sudo.
  package var user: String?
  package var isRoot = false
  /// `systemd`, or the name of PID 1.
  package var initSystem: String?
  /// What run.runtime: auto comes to.
  package var runtime: RuntimeKind?
  package var missingTools: [String] = []
  package var architecture: String?
  package var kernel: String?
  package var system: String?
  /// Free on the file system of `root`, in bytes.
  package var diskFree: Int64?
  package var memory: Int64?
  package var memoryAvailable: Int64?
  package var cpus: Int?
  /// Where the file system of `root` is mounted, if nothing on it may be executed.
  package var noExecution: String?
  /// Free on the file system of `root`; nil where it has no fixed number of them.
  package var inodesFree: Int?
  /// Instances of other fleets: directory, port, address and fleet of each, `-` for what it does not say.
  package var others: [String] = []
  /// Ports of the asked range that something listens on.
  package var portsTaken: [Int] = []
  /// The host's clock minus this machine's, in milliseconds, give or take the latency (a second where its `date` knows no fractions).
  package var clockDifference: Int64?
  /// Whether sshd lets readiness be asked through it.
  package var forwarding: Bool?
  /// How many commands sshd lets run at once on one connection, as far as that was tried; nil where it was not.
  package var sessions: Int?
  /// What its cgroups can limit, of `cpu` and `memory`; nil where that was not seen.
  package var controllers: [String]?
  package var problems: [Problem] = []

  package init(host: HostName, rack: RackName) {
    self.host = host
    self.rack = rack
  }

  /// Nothing but warnings.
  package var isUsable: Bool { problems.allSatisfy(\.isWarning) }
}

/// Looks at hosts without changing anything.
package struct HostInspector: Sendable {
  /// Sessions that are tried; with so many nothing has to wait.
  static let sessionsTried = 4

  private let hands: FleetHosts
  private let limited: [LimitedRun]

  /// `limited` are the services whose limits the hosts are to enforce.
  package init(hands: FleetHosts, limited: [LimitedRun] = []) {
    self.hands = hands
    self.limited = limited
  }

  /// All hosts at once, in their order. `ports` are those whose use is asked about. `hasEnded` is told of each when it is done with.
  package func inspect(
    _ hosts: [Host], ports: PortRange = PortRange(from: 1, to: 65_535), hasEnded: @Sendable (HostName) -> Void = { _ in }
  ) async -> [HostReport] {
    await withTaskGroup(of: (Int, HostReport).self) { group in
      for (index, host) in hosts.enumerated() { group.addTask { (index, await inspect(host, ports: ports)) } }
      var reports: [(Int, HostReport)] = []
      for await report in group {
        hasEnded(report.1.host)
        reports.append(report)
      }
      return reports.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  package func inspect(_ host: Host, ports: PortRange = PortRange(from: 1, to: 65_535)) async -> HostReport {
    var report = HostReport(host: host.name, rack: host.rack)
    do {
      let began = ContinuousClock.now
      let connection = try await connection(host, &report)
      report.connectTime = .now - began
      report.isReachable = true
      await checkForwarding(connection, &report)
      report.sessions = try await connection.countSessions(upTo: Self.sessionsTried)
      var script = HostScript(InspectScript.source)
      script.set(fleet: hands.fleet.name, on: host)
      script.set(range: ports)
      let sent = (monotonic: ContinuousClock.now, wall: Self.wallMilliseconds())
      let answer = try await hands.link(host).run(script, .inspect, limits: hands.limits)
      let latency = ContinuousClock.now - sent.monotonic
      report.latency = latency
      report.take(answer)
      report.clockDifference = answer.bounded("clock", 1 << 52).map { $0 - sent.wall - latency.milliseconds }
    } catch {
      switch HostTrouble(error) {
      case .failed(let failure):
        report.problems.append(.init(failure.message + (failure.output.isEmpty ? "" : ": \(failure.output)"), remedy: failure.remedy))
      case .shut(let failure): report.problems.append(.init(failure.message, remedy: failure.remedy))
      case .unreachable(let why), .inDoubt(let why): report.problems.append(.init(why, remedy: ""))
      }
      return report
    }
    report.judge(host)
    report.judge(limited, on: host)
    return report
  }

  private func connection(_ host: Host, _ report: inout HostReport) async throws -> SSHConnection {
    do { return try await hands.link(host).connection() } catch {
      report.refusal = Self.refusal(error as? SSHError)
      throw error
    }
  }

  private static func refusal(_ error: SSHError?) -> String {
    switch error?.code {
    case .hostKeyUnknown: "untrusted"
    case .hostKeyChanged: "key changed"
    case .hostKeyRevoked: "key revoked"
    case .noIdentity, .authRefused, .agentFailed: "no login"
    case .nameNotFound: "no address"
    case .badConfiguration, .knownHostsUnreadable: "bad settings"
    default: "unreachable"
    }
  }

  private func checkForwarding(_ connection: SSHConnection, _ report: inout HostReport) async {
    do {
      let channel = try await connection.openDirectTCPIP(host: "127.0.0.1", port: 1)
      await channel.close()
      report.forwarding = true
    } catch let error as SSHError where error.code == .forwardRefused {
      report.forwarding = true
    } catch let error as SSHError where error.code == .forwardingForbidden {
      report.forwarding = false
    } catch {
      report.forwarding = nil
    }
  }

  private static func wallMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

extension HostReport {
  /// `DIRECTORY PORT ADDRESS FLEET` in words.
  private static func told(_ line: String) -> String {
    let words = line.split(separator: " ").map(String.init)
    guard words.count == 4 else { return line }
    let parts = words[0].split(separator: "/").map(String.init)
    let name = parts.count > 3 ? "\(parts[parts.count - 3])/\(parts[parts.count - 1])" : words[0]
    return "\(name) of \(words[3] == "-" ? words[0] : "fleet \(words[3])") on port \(words[1])"
  }

  mutating func take(_ answer: HostAnswer) {
    user = answer.value("user")
    isRoot = answer.value("uid") == "0"
    initSystem = answer.value("init")
    runtime = answer.value("runtime").flatMap(RuntimeKind.init)
    missingTools = answer.values("missing")
    architecture = answer.value("architecture")
    kernel = answer.value("kernel")
    system = answer.value("system")
    diskFree = answer.bounded("free", 1 << 52).map { $0 * 1024 }
    memory = answer.bounded("memory", 1 << 52).map { $0 * 1024 }
    memoryAvailable = answer.bounded("available", 1 << 52).map { $0 * 1024 }
    controllers = answer.value("controllers").map { $0.split(separator: " ").map(String.init) }
    cpus = answer.number("cpus")
    portsTaken = Set(answer.values("listening").compactMap { Int($0) }).sorted()
    others = answer.values("other")
    noExecution = answer.value("noexec")
    inodesFree = answer.number("inodes")
    if let mount = answer.value("readonly") {
      problems.append(
        .init(
          "the file system of the root directory is read-only (\(mount))",
          remedy: "See why (dmesg: a failing disk is made read-only), then mount -o remount,rw \(mount)."))
    } else if answer.value("writable") != "1" {
      problems.append(
        .init("the root directory cannot be written by \(user ?? "the login user")", remedy: "Make it writable, or set ssh.become: sudo."))
    }
  }

  /// Names what is wrong with what was seen.
  mutating func judge(_ host: Host) {
    if !missingTools.isEmpty {
      problems.append(
        .init(
          "these tools are missing: \(missingTools.joined(separator: ", "))",
          remedy: "Install them (Debian: apt-get install coreutils util-linux tar gzip mawk)."))
    }
    if forwarding == false {
      problems.append(
        .init(
          "sshd forbids forwarding, so that http and tcp readiness cannot be asked",
          remedy: "Set AllowTcpForwarding local in its sshd_config, or use health.readiness: { exec: … } for all services.", isWarning: true
        ))
    }
    if let sessions, sessions < HostInspector.sessionsTried {
      problems.append(
        sessions == 0
          ? .init("its sshd lets no command run: MaxSessions is 0", remedy: "Set MaxSessions 10 in its sshd_config.")
          : .init(
            "its sshd lets \(sessions) \(sessions == 1 ? "command" : "commands") run at once on a connection (MaxSessions), so that Sluice's wait for each other",
            remedy: "Set MaxSessions 10 in its sshd_config.", isWarning: true))
    }
    if let difference = clockDifference, abs(difference) > 2000 {
      problems.append(
        .init(
          "its clock is \(ClockWords.text(abs(difference))) \(difference < 0 ? "behind" : "ahead of") this machine's",
          remedy: "Let it follow NTP: times in logs cannot be compared.", isWarning: true))
    }
    if let noExecution {
      problems.append(
        .init(
          "nothing below \(host.root) can be executed: \(noExecution) is mounted noexec",
          remedy:
            "Mount it without noexec, or set another root for this host; only services whose run.command is a program of the host run there.",
          isWarning: true))
    }
    if let inodesFree, inodesFree < 10_000 {
      problems.append(
        .init(
          inodesFree == 0 ? "no inodes are left for \(host.root)" : "only \(inodesFree) inodes are left for \(host.root)",
          remedy: "Remove files that nobody needs there (df -i).", isWarning: inodesFree > 0))
    }
    if !others.isEmpty {
      problems.append(
        .init(
          "other fleets have instances here: " + others.map(Self.told).joined(separator: ", "),
          remedy: "Give each fleet its own ports, and count these where you set the host's slots.", isWarning: true))
    }
    if let diskFree, diskFree < 1 << 20 {
      problems.append(.init("the disk of \(host.root) is full", remedy: "Make room: nothing can be changed on this host until then."))
    } else if let diskFree, diskFree < 256 << 20 {
      problems.append(
        .init(
          "only \(diskFree >> 20) MiB are free for \(host.root)", remedy: "Make room: a release is kept packed and unpacked.",
          isWarning: true))
    }
    if initSystem == "systemd", runtime == .process {
      problems.append(
        .init(
          "systemd runs there, and \(user ?? "the login user") may not make units: services run under Sluice's own supervisor and do not come back after a reboot",
          remedy: "Set ssh.become: sudo, or log in as root.", isWarning: true))
    }
  }
}

/// A service whose processes are to be kept within limits.
package struct LimitedRun: Hashable, Sendable {
  package var service: ServiceName
  package var runtime: RuntimeKind
  package var limits: Limits

  package init(service: ServiceName, runtime: RuntimeKind, limits: Limits) {
    self.service = service
    self.runtime = runtime
    self.limits = limits
  }
}

extension HostReport {
  /// Names the services whose limits the host would not enforce. One that takes no instances runs none.
  mutating func judge(_ limited: [LimitedRun], on host: Host) {
    guard host.slots > 0 else { return }
    for run in limited where run.limits != Limits() {
      let wanted = [run.limits.cpuBasisPoints.map { _ in "cpu" }, run.limits.memoryBytes.map { _ in "memory" }].compactMap { $0 }
      func named(_ kinds: [String]) -> String {
        "the \(kinds.joined(separator: " and ")) limit\(kinds.count == 1 ? "" : "s") of \(run.service)"
      }
      if run.runtime == .process || host.runtime(for: run.runtime) == .process || runtime == .process {
        problems.append(
          .init(
            "\(named(wanted)) cannot be enforced: services run under Sluice's own supervisor there, which has none, so that a release is refused",
            remedy: "Set ssh.become: sudo where systemd runs, or leave run.limits out, or keep \(run.service) off this host by placement.",
            isWarning: true))
      } else if let controllers {
        let missing = wanted.filter { !controllers.contains($0) }
        guard !missing.isEmpty else { continue }
        problems.append(
          .init(
            "\(named(missing)) would be ignored: its kernel has no cgroup controller for \(missing.joined(separator: " and "))",
            remedy: missing.contains("memory")
              ? "Switch it on (kernel command line cgroup_enable=memory, or the container's delegation), or leave run.limits out."
              : "Switch it on (the kernel's configuration, or the container's delegation), or leave run.limits out.", isWarning: true))
      }
    }
  }
}

extension HostAnswer {
  /// A number of a host's, nil where it is none from 0 to the bound: what is reckoned with it must not overflow.
  func bounded(_ key: String, _ bound: Int64) -> Int64? {
    number(key, as: Int64.self).flatMap { (0...bound).contains($0) ? $0 : nil }
  }
}

/// How far a clock is off, as people say it.
package enum ClockWords {
  /// Of milliseconds that are not negative: `850 ms`, `12 s`, `10 min`, `3 h`, `4 days`, `2 years`.
  package static func text(_ milliseconds: Int64) -> String {
    let seconds = milliseconds / 1000
    return switch seconds {
    case ..<10: "\(milliseconds) ms"
    case ..<120: "\(seconds) s"
    case ..<7_200: "\((seconds + 30) / 60) min"
    case ..<172_800: "\((seconds + 1_800) / 3_600) h"
    case ..<63_072_000: "\((seconds + 43_200) / 86_400) days"
    default: "\(seconds / 31_536_000) years"
    }
  }
}
