internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout
internal import SluiceSSH

extension FleetHosts {
  /// One round trip: slot, port, files, start, and a first look whether it stays up.
  func start(_ instance: Instance, _ release: Release, _ order: HostOrder, on host: Host) async throws -> AttemptResult {
    let text = InstanceText(service: order.service, instance: instance, release: release, host: host)
    if let failure = problem(text) { return .failed(failure) }
    let run = release.spec.run
    var script = HostScript(StartScript.source)
    script.set(place: order.service, of: fleet.name, on: host)
    script.set(fence: order.fence)
    script.set("number", instance.number)
    script.set("slots", host.slots)
    script.set("address", instance.address)
    script.set("port", instance.port)
    script.set("digest", release.digest.rawValue)
    script.set("runtime", host.runtime(for: run.runtime).rawValue)
    script.set("program", text.program)
    script.set("others", Self.furtherPrograms(of: release))
    script.set("user", run.user ?? "")
    script.set("limits", run.limits == Limits() ? "" : "1")
    script.set("settings", text.settings)
    script.set("about", text.json)
    script.set("environment", text.environment)
    script.set("named", text.namedEnvironment)
    script.set("head", text.unitHead)
    script.set("tail", text.unitTail)
    script.set("supervise", InstanceFiles.supervise)
    script.set("launch", InstanceFiles.launch)
    script.set("pause", InstanceFiles.pause)
    script.set("version", text.secretsVersion)
    let values = await secretLines(text)
    script.set("secrets", values.lines ?? "")
    script.set("known", values.lines == nil ? 0 : 1)
    do {
      let answer = try await link(host).run(script, .start, limits: limits)
      guard let generation = answer.number("generation", as: UInt64.self) else { throw HostTrouble.unreadable(host) }
      return .succeeded(.host(generation: generation))
    } catch HostTrouble.failed(var failure) where failure.kind == .staging && values.lines == nil {
      failure.message += values.problem.map { "; \($0)" } ?? ""
      return .failed(failure)
    }
  }

  /// The lines of the secrets' file; nil lines with the reason where the values are not to be had here.
  func secretLines(_ text: InstanceText) async -> (lines: String?, problem: String?) {
    guard !text.secretsVersion.isEmpty else { return ("", nil) }
    do {
      let values = try await secrets(text.service, text.instance.secrets)
      var lines = ""
      for name in text.release.spec.run.secrets.sorted() {
        guard let value = values[name] else { return (nil, "the secret \(name) is in no source") }
        guard !value.utf8.contains(0) else { return (nil, "the secret \(name) holds a zero byte, which no environment can") }
        lines += Shell.environmentLine(name, value)
      }
      return (lines, nil)
    } catch {
      return (nil, "reading them here failed: \(error)")
    }
  }

  /// What a host must not be given, because a script could not hold it.
  func problem(_ text: InstanceText) -> Failure? {
    let run = text.release.spec.run
    if run.command.first?.isEmpty ?? true { return Failure(.start, "\(text.service)\(text.release.number) has an empty command") }
    if let name = (run.env.keys.sorted() + run.secrets.sorted()).first(where: { !Shell.isName($0) }) {
      return Failure(
        .start, "'\(name)' is no name for an environment variable", remedy: "Letters, digits and _ make one, and no digit comes first.")
    }
    if let name = run.secrets.sorted().first(where: Shell.isOwn) {
      return Failure(
        .start, "the secret \(name) has a name that shells keep for themselves", remedy: "Give it another name in run.secrets.")
    }
    if let user = run.user, !Shell.isPlain(user) { return Failure(.start, "run.user '\(user)' is no user's name") }
    if !text.secretsVersion.isEmpty, !Shell.isPlain(text.secretsVersion) {
      return Failure(.start, "the secrets' version '\(text.secretsVersion)' is no file's name")
    }
    if !text.release.spec.stop.signal.utf8.allSatisfy({ (65...90).contains($0) || (48...57).contains($0) }) {
      return Failure(.start, "drain.signal '\(text.release.spec.stop.signal)' is no signal's name")
    }
    return nil
  }

  /// One round trip as long as the kill ladder takes.
  func stop(_ instance: Instance, _ release: Release?, _ order: HostOrder, on host: Host) async throws -> AttemptResult {
    let killAfter = release?.spec.stop.killAfter ?? .minutes(10)
    let preStop = max(order.policy.drain.timeout, .seconds(1))
    var script = HostScript(StopScript.source)
    script.set(place: order.service, of: fleet.name, on: host)
    script.set(fence: order.fence)
    script.set("number", instance.number)
    script.set("port", instance.port)
    script.set("limit", preStop.value)
    let time = preStop.duration + killAfter.duration + .seconds(60)
    let answer = try await link(host).run(script, .stop, limits: SSHLimits(timeout: time, maxOutput: 1 << 20))
    guard let generation = answer.number("generation", as: UInt64.self), let killed = answer.value("killed") else {
      throw HostTrouble.unreadable(host)
    }
    return .succeeded(.stopped(generation: generation, killed: killed == "1"))
  }
}
