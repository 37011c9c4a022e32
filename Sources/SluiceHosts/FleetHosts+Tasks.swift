internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout
internal import SluiceSSH

extension FleetHosts {
  /// Waits for the task's end, however many round trips that takes; a lost connection leaves it running, and asking again finds it.
  func runTask(_ release: Release, number: Int, secrets: String, _ order: HostOrder, on host: Host) async throws -> AttemptResult {
    guard let task = release.spec.task else { return .succeeded(.nothing) }
    var spec = release.spec
    spec.run.command = task.command
    let pseudo = Instance(
      number: 0, release: release.number, host: host.name, address: host.serviceAddress, port: 0, secrets: secrets, phase: .reserved)
    let text = InstanceText(
      service: order.service, instance: pseudo, release: Release(number: release.number, digest: release.digest, spec: spec), host: host)
    if let failure = problem(text) { return .failed(failure) }
    let id = "\(release.digest.rawValue.prefix(16))-\(number)"
    let values = await secretLines(text)
    var script = HostScript(TaskScript.source)
    script.set(place: order.service, of: fleet.name, on: host)
    script.set(fence: order.fence)
    script.set("number", 0)
    script.set("id", id)
    script.set("digest", release.digest.rawValue)
    script.set("runtime", "process")
    script.set("program", text.program)
    script.set("others", "")
    script.set("user", spec.run.user ?? "")
    script.set("limits", "")
    script.set("settings", text.settings)
    script.set("about", text.json)
    script.set("named", text.namedEnvironment)
    script.set("environment", text.environment(with: ["SLUICE_ATTEMPT_ID": "\(order.service)-\(id)"]))
    script.set("launch", InstanceFiles.launch)
    script.set("supervise", TaskScript.supervise(limit: max(1, task.timeout.value / 1000)))
    script.set("version", text.secretsVersion)
    script.set("secrets", values.lines ?? "")
    script.set("known", values.lines == nil ? 0 : 1)
    // Short enough that an abort is seen soon.
    script.set("wait", 5_000)
    while true {
      try Task.checkCancellation()
      let answer = try await link(host).run(script, .task, limits: limits)
      if !answer.has("running") { return try result(answer, release, task, order, on: host, id: id) }
    }
  }

  private func result(
    _ answer: HostAnswer, _ release: Release, _ task: ReleaseTask, _ order: HostOrder, on host: Host, id: String
  ) throws -> AttemptResult {
    let what = "\(host.name): \(task.command.joined(separator: " "))"
    let output = answer.text("log")
    let place = "\(host.root)/\(order.service)/attempts/\(id)"
    if answer.has("interrupted") {
      return .failed(
        Failure(
          .interrupted, "\(what) was cut off: no exit status was left", output: output, remedy: "Look at \(place)/log on \(host.name)"))
    }
    switch answer.value("status") {
    case "0": return .succeeded(.nothing)
    case "late":
      return .failed(
        Failure(.task, "\(what) did not end within \(task.timeout) (task.timeout) and was stopped", output: output, remedy: remedy(order)))
    case let status?:
      return .failed(Failure(.task, "\(what) exited with status \(status)", output: output, remedy: remedy(order)))
    case nil: throw HostTrouble.unreadable(host)
    }
  }

  private func remedy(_ order: HostOrder) -> String { "Put it right, then apply again; nothing of \(order.service) was replaced yet" }
}
