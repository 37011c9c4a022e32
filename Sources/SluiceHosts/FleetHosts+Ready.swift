internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout
internal import SluiceSSH

extension FleetHosts {
  /// Asks until the instance is ready, has ended, or `startTimeout` has passed. http and tcp go through the host's SSH connection and cost no
  /// exec; after refused connections the host is looked at, so that a crash is told at once.
  func checkReady(_ instance: Instance, _ release: Release, _ order: HostOrder, on host: Host) async throws -> AttemptResult {
    let check = release.spec.readiness
    do {
      let deadline = ContinuousClock.now + order.policy.startTimeout.duration
      if case .exec(let command) = check.probe {
        return try await checkByExec(command, check, instance, release, order, on: host, until: deadline)
      }
      return try await checkByConnection(check, instance, order, on: host, until: deadline)
    } catch {
      guard Task.isCancelled else { throw error }
      return .failed(Failure(.cancelled, "\(host.name): the readiness check of \(order.service)/\(instance.number) was cancelled"))
    }
  }

  private func checkByConnection(
    _ check: ReadinessCheck, _ instance: Instance, _ order: HostOrder, on host: Host, until deadline: ContinuousClock.Instant
  ) async throws -> AttemptResult {
    let prober = ReadinessProbe(probe: check.probe, address: instance.address, port: instance.port, timeout: check.timeout.duration)
    var risen = 0
    var last = "it was not asked yet"
    var nextLook = ContinuousClock.now + .milliseconds(700)
    while true {
      try Task.checkCancellation()
      let began = ContinuousClock.now
      switch await prober.ask(through: try await link(host).openConnection()) {
      case .ready:
        risen += 1
        if risen >= check.rise { return try await staysInForeground(instance, order, on: host) }
      case .notReady(let answer):
        risen = 0
        last = answer
        if began >= nextLook {
          let seen = try await look(at: instance.number, order.service, on: host)
          if let failure = seen.failure(order.service, instance.number, on: host) { return .failed(failure) }
          nextLook = .now + .seconds(3)
        }
      case .forbidden(let error):
        return .failed(Self.forbidden("the readiness of \(order.service)/\(instance.number)", error, on: host))
      case .lost(let error):
        if error.step == .channel { throw HostTrouble(error) }
        risen = 0
        last = error.cause
      }
      let next = min(began + check.interval.duration, deadline)
      if ContinuousClock.now >= deadline { break }
      try await Task.sleep(until: next, clock: .continuous)
    }
    return try await notReady(instance, order, on: host, what: prober.description, last: last)
  }

  /// Whether the host's sshd lets readiness be asked at all: found out before anything is stopped for the new release. No exec.
  func forwarding(_ check: ReadinessCheck, _ order: HostOrder, on host: Host) async throws -> Failure? {
    if case .exec = check.probe { return nil }
    let prober = ReadinessProbe(probe: .tcp, address: host.serviceAddress, port: order.policy.ports.from, timeout: .seconds(5))
    guard case .forbidden(let error) = await prober.ask(through: try await link(host).openConnection()) else { return nil }
    return Self.forbidden("the readiness of \(order.service)", error, on: host)
  }

  private static func forbidden(_ what: String, _ error: SSHError, on host: Host) -> Failure {
    Failure(
      .host, "\(host.name): its sshd forbids forwarding, so that \(what) cannot be asked: \(error.cause)",
      remedy:
        "Set AllowTcpForwarding local (and no DisableForwarding) in its sshd_config, or use health.readiness: { exec: { command: […] } }."
    )
  }

  private func checkByExec(
    _ command: [String], _ check: ReadinessCheck, _ instance: Instance, _ release: Release, _ order: HostOrder, on host: Host,
    until deadline: ContinuousClock.Instant
  ) async throws -> AttemptResult {
    let text = InstanceText(service: order.service, instance: instance, release: release, host: host)
    var last = ""
    while true {
      let left = deadline - .now
      // Long enough that few round trips are needed, short enough that a crash or an abort is seen.
      let time = max(.milliseconds(1), min(left, max(.seconds(3), check.interval.duration * (check.rise + 1))))
      var script = HostScript(InstanceScripts.probe)
      script.set(place: order.service, of: fleet.name, on: host)
      script.set("number", instance.number)
      script.set("words", Shell.words(command.map(text.substitute)))
      script.set("timeout", check.timeout.value)
      script.set("pause", Self.seconds(check.interval))
      script.set("rise", check.rise)
      script.set("time", time.milliseconds)
      let answer = try await link(host).run(
        script, .probe, limits: SSHLimits(timeout: time + check.timeout.duration * 2 + .seconds(30), maxOutput: 1 << 20))
      if answer.has("ready") { return try await staysInForeground(instance, order, on: host) }
      let status = answer.value("status") ?? "none"
      last =
        (status == "124" ? "cut off after \(check.timeout)" : "exit status \(status)")
        + (answer.text("output").isEmpty ? "" : ": \(answer.text("output"))")
      let seen = try await look(at: instance.number, order.service, on: host)
      if let failure = seen.failure(order.service, instance.number, on: host) { return .failed(failure) }
      try Task.checkCancellation()
      if ContinuousClock.now >= deadline { break }
    }
    return try await notReady(instance, order, on: host, what: command.joined(separator: " "), last: last)
  }

  /// A program that goes on in the background cannot be kept running. One that listens itself is in the foreground; where a process that it has
  /// started listens (a script around the service, or the parent of a daemon), it is looked at until it has run for a while.
  private func staysInForeground(_ instance: Instance, _ order: HostOrder, on host: Host) async throws -> AttemptResult {
    let deadline = ContinuousClock.now + .seconds(8)
    while true {
      let seen = try await look(at: instance.number, order.service, on: host)
      if let failure = seen.failure(order.service, instance.number, on: host) { return .failed(failure) }
      if seen.isDirect || (seen.age ?? .zero) >= Self.foregroundTime || ContinuousClock.now >= deadline { return .succeeded(.nothing) }
      try await Task.sleep(for: .milliseconds(300))
    }
  }

  private static let foregroundTime = Duration.seconds(3)

  private func notReady(_ instance: Instance, _ order: HostOrder, on host: Host, what: String, last: String) async throws -> AttemptResult {
    let log = try? await look(at: instance.number, order.service, on: host).log
    return .failed(
      Failure(
        .readiness,
        "\(host.name): \(order.service)/\(instance.number) was not ready within \(order.policy.startTimeout): \(what) said: \(last)",
        output:
          "last answer of the check: \(last)\n\(log.map { $0.isEmpty ? "its log is empty" : "its log:\n\($0)" } ?? "its log could not be read")",
        remedy: "look at what it wrote, above; a slow start needs a longer health.startTimeout, and sluice apply --force"))
  }

  /// Whether the instance still runs, how often it was started again, and what it wrote last.
  func look(at number: Int, _ service: ServiceName, on host: Host) async throws -> InstanceLook {
    var script = HostScript(InstanceScripts.liveness)
    script.set(place: service, of: fleet.name, on: host)
    script.set("number", number)
    let answer = try await link(host).run(script, .probe, limits: limits)
    return InstanceLook(
      isRunning: answer.value("running") == "1", isGone: answer.has("gone"), restarts: answer.number("restarts") ?? 0,
      status: answer.value("status"), log: answer.text("log"), isBackground: answer.has("background"), isDirect: answer.has("direct"),
      age: answer.number("age", as: Int64.self).map { .milliseconds($0) })
  }

  private static func seconds(_ time: Milliseconds) -> String {
    let rest = String(time.value % 1000)
    return "\(time.value / 1000)." + String(repeating: "0", count: 3 - rest.count) + rest
  }
}

extension Duration {
  var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

/// What one look at an instance showed.
struct InstanceLook: Hashable, Sendable {
  var isRunning: Bool
  var isGone: Bool
  var restarts: Int
  /// How it last ended, where it has.
  var status: String?
  var log: String
  /// It has ended, and what it left behind listens on its port.
  var isBackground = false
  /// The program that is supervised listens itself.
  var isDirect = false
  /// How long that program has run; nil where it is not up.
  var age: Duration?

  /// Why it is none that can be kept running; nil where it is one. A program that ends well before it serves is taken for one that goes on elsewhere.
  func leftForeground(_ service: ServiceName, _ number: Int, on host: Host) -> Failure? {
    guard isBackground || (restarts > 0 && status == "0") else { return nil }
    return Failure(
      .start, "\(host.name): \(service)/\(number) has left the foreground: its program ended (exit status 0) and goes on in the background",
      output: log,
      remedy:
        "Keep it in the foreground: no daemon mode (nginx -g 'daemon off;', gunicorn without --daemon), no & in a script; end scripts with exec."
    )
  }

  /// Why waiting for it is in vain; nil while it may yet become ready. Two restarts may be a dependency that comes late.
  func failure(_ service: ServiceName, _ number: Int, on host: Host) -> Failure? {
    let how = status.map { $0.hasPrefix("signal") ? " (\($0))" : " (exit status \($0))" } ?? ""
    if let failure = leftForeground(service, number, on: host) { return failure }
    let remedy = "Look at its log: sluice logs \(service)."
    if isGone { return Failure(.start, "\(host.name): \(service)/\(number) is not on the host any more") }
    if !isRunning {
      return Failure(.start, "\(host.name): \(service)/\(number) has ended\(how) before it was ready", output: log, remedy: remedy)
    }
    if restarts >= 3 {
      return Failure(
        .start, "\(host.name): \(service)/\(number) has crashed \(restarts) times\(how) before it was ready", output: log, remedy: remedy)
    }
    return nil
  }
}
