/// One field that differs between two manifests of a service, in the manifest's words.
package struct FieldChange: Hashable, Codable, Sendable {
  /// `run.env.LOG_LEVEL`.
  package var field: String
  /// nil: it was not there, or it is a secret.
  package var before: String?
  /// nil: it is not there any more, or it is a secret.
  package var after: String?
  /// The values are not told.
  package var isSecret: Bool

  package init(_ field: String, before: String?, after: String?, isSecret: Bool = false) {
    self.field = field
    self.before = isSecret ? nil : before
    self.after = isSecret ? nil : after
    self.isSecret = isSecret
  }

  /// What changes from one release to the next, in the order of the manifest.
  package static func between(_ old: ReleaseSpec, and new: ReleaseSpec) -> [FieldChange] { changes(old.fields, new.fields) }

  /// What changes of all that belongs to no release.
  package static func between(_ old: ServicePolicy, and new: ServicePolicy) -> [FieldChange] { changes(old.fields, new.fields) }

  private static func changes(_ old: [Field], _ new: [Field]) -> [FieldChange] {
    var changes: [FieldChange] = []
    for field in new {
      let before = old.first { $0.name == field.name }
      if before?.value == field.value { continue }
      changes.append(
        FieldChange(
          field.name, before: before?.value, after: field.value, isSecret: field.isSecret || before?.isSecret ?? false))
    }
    for field in old where !new.contains(where: { $0.name == field.name }) {
      changes.append(FieldChange(field.name, before: field.value, after: nil, isSecret: field.isSecret))
    }
    return changes
  }

  /// One field with its value as people write it.
  struct Field {
    var name: String
    var value: String
    var isSecret = false

    init(_ name: String, _ value: some CustomStringConvertible, isSecret: Bool = false) {
      self.name = name
      self.value = value.description
      self.isSecret = isSecret
    }
  }
}

private typealias Field = FieldChange.Field

extension ReleaseSpec {
  fileprivate var fields: [Field] {
    var fields = [Field("artifact", artifact.short), Field("run.runtime", run.runtime.rawValue), run.commandField]
    for (name, value) in run.env.sorted(by: { $0.key < $1.key }) {
      fields.append(Field("run.env.\(name)", value, isSecret: SecretWords.isSecret(key: name) || SecretWords.isSecret(value: value)))
    }
    fields += run.secrets.sorted().map { Field("run.secrets.\($0)", "read when applied") }
    if let memory = run.limits.memoryBytes { fields.append(Field("run.limits.memory", memory.asSize)) }
    if let cpu = run.limits.cpuBasisPoints { fields.append(Field("run.limits.cpu", "\(cpu / 100)%")) }
    if let user = run.user { fields.append(Field("run.user", user)) }
    fields += config.map { Field("config.\($0.path)", $0.digest.short) }
    fields += readiness.fields
    if let preStop = stop.preStop { fields.append(Field("drain.preStop", preStop.asCommand, isSecret: preStop.tellsSecrets)) }
    fields += [Field("drain.signal", stop.signal), Field("drain.killAfter", stop.killAfter)]
    if let task {
      fields += [
        Field("task.command", task.command.asCommand, isSecret: task.command.tellsSecrets),
        Field("task.onInterrupted", task.onInterrupted.rawValue), Field("task.irreversible", task.irreversible),
        Field("task.timeout", task.timeout),
      ]
    }
    return fields
  }
}

extension RunSpec {
  fileprivate var commandField: Field { Field("run.command", command.asCommand, isSecret: command.tellsSecrets) }
}

extension ReadinessCheck {
  fileprivate var fields: [Field] {
    let name = "health.readiness"
    var fields: [Field]
    switch probe {
    case .http(let path, let status, let host, let headers):
      fields = [Field("\(name).http", "\(path) answers \(status)")]
      if let host { fields.append(Field("\(name).http.host", host)) }
      for (header, value) in (headers ?? [:]).sorted(by: { $0.key < $1.key }) {
        let isSecret = SecretWords.isSecret(key: header) || SecretWords.isSecret(value: value)
        fields.append(Field("\(name).http.headers.\(header)", value, isSecret: isSecret))
      }
    case .tcp: fields = [Field("\(name).tcp", "connects")]
    case .exec(let command): fields = [Field("\(name).exec", command.asCommand, isSecret: command.tellsSecrets)]
    }
    return fields + [
      Field("\(name).interval", interval), Field("\(name).timeout", timeout), Field("\(name).rise", rise), Field("\(name).fall", fall),
    ]
  }
}

extension ServicePolicy {
  fileprivate var fields: [Field] {
    var fields = [Field("tier", tier), Field("replicas", replicas)]
    if let formerly { fields.append(Field("metadata.formerly", formerly)) }
    if let skew = placement.maxSkew { fields.append(Field("placement.maxSkew", skew)) }
    for (label, value) in placement.require.sorted(by: { $0.key < $1.key }) { fields.append(Field("placement.require.\(label)", value)) }
    for (label, value) in (placement.prefer ?? [:]).sorted(by: { $0.key < $1.key }) {
      fields.append(Field("placement.prefer.\(label)", value))
    }
    fields.append(Field("ports", ports.from == ports.to ? "\(ports.from)" : "\(ports.from)–\(ports.to)"))
    fields += [
      Field("health.startTimeout", startTimeout), Field("health.minHealthyTime", minHealthyTime), Field("drain.timeout", drain.timeout),
      Field("drain.longLived", drain.longLived),
    ]
    if let route { fields += route.fields }
    fields += strategy.fields
    fields += [
      Field("onFailure", onFailure.rawValue), Field("failureBudget", failureBudget), Field("progressDeadline", progressDeadline),
    ]
    if let after { fields.append(Field("after", after.map(\.rawValue).joined(separator: ", "))) }
    if let windows { fields.append(Field("windows.allow", windows.map(\.text).joined(separator: "; "))) }
    for (point, path) in hooks.sorted(by: { $0.key < $1.key }) { fields.append(Field("hooks.\(point.rawValue)", path)) }
    // Where a secret is read is part of a manifest; its value is nowhere here.
    for (name, source) in secrets.sorted(by: { $0.key < $1.key }) {
      fields.append(Field("run.secrets.\(name)", source.asText, isSecret: source.tellsSecrets))
    }
    return fields
  }
}

extension Route {
  fileprivate var fields: [Field] {
    var fields = [
      Field("route.gateway", gateway), Field("route.hosts", hosts.isEmpty ? "any" : hosts.joined(separator: ", ")),
      Field("route.path", path),
      Field("route.balance", balance.rawValue), Field("route.timeouts.connect", timeouts.connect),
      Field("route.timeouts.response", timeouts.response), Field("route.timeouts.idle", timeouts.idle),
    ]
    if let user { fields.append(Field("route.user", "\(user.source.asText), absent: \(user.absent.rawValue)")) }
    return fields
  }
}

extension Strategy {
  fileprivate var fields: [Field] {
    switch self {
    case .rolling(let rolling):
      let name = "strategy.rolling"
      var fields = [
        Field("strategy", "rolling"), Field("\(name).maxUnavailable", rolling.maxUnavailable), Field("\(name).maxSurge", rolling.maxSurge),
        Field("\(name).order", rolling.rackOrder ? "rack" : "any"),
      ]
      if let floor = rolling.rackLossFloor { fields.append(Field("\(name).rackLossFloor", floor)) }
      return fields + [Field("\(name).pauseBetween", rolling.pauseBetween)]
    case .blueGreen(let blueGreen):
      let name = "strategy.blueGreen"
      return [
        Field("strategy", "blueGreen"), Field("\(name).approve", blueGreen.approve), Field("\(name).keepOld", blueGreen.keepOld),
      ] + (blueGreen.preview.isEmpty ? [] : [Field("\(name).preview", blueGreen.preview.joined(separator: ", "))])
        + blueGreen.checks.map { $0.field("\(name).checks") }
    case .canary(let canary): return [Field("strategy", "canary")] + canary.fields
    case .recreate(let recreate): return [Field("strategy", "recreate"), Field("strategy.recreate.queue", recreate.queue)]
    }
  }
}

extension Canary {
  fileprivate var fields: [Field] {
    let name = "strategy.canary"
    var fields = steps.enumerated().map { index, step in
      var words = ["\(step.users) of users"]
      if let instances = step.instances { words.append("\(instances) instances") }
      words.append("for \(step.hold)\(step.analysis ?? analysis == nil ? "" : ", at most \(step.maxHold)")")
      if step.approve { words.append("then approved") }
      return Field("\(name).steps.\(index + 1)", words.joined(separator: ", "))
    }
    if !allow.isEmpty { fields.append(Field("\(name).allow", allow.joined(separator: ", "))) }
    if !deny.isEmpty { fields.append(Field("\(name).deny", deny.joined(separator: ", "))) }
    fields += [
      Field("\(name).controllerLost", "\(controllerLost.then.rawValue) after \(controllerLost.after)"), Field("\(name).maxSurge", maxSurge),
    ]
    fields += analysis?.fields("\(name).analysis") ?? []
    for (index, step) in steps.enumerated() { fields += step.analysis?.fields("\(name).steps.\(index + 1).analysis") ?? [] }
    if let override { fields.append(Field("\(name).override", "\(override.header) \(override.digest?.rawValue ?? "")", isSecret: true)) }
    return fields
  }
}

extension Analysis {
  fileprivate func fields(_ name: String) -> [Field] {
    var fields = [Field("\(name).minRequests", minRequests)]
    if let maxErrorRate { fields.append(Field("\(name).maxErrorRate", maxErrorRate)) }
    if let versusStable {
      fields.append(Field("\(name).versusStable", "errorRatio \(versusStable.errorRatio), confidence \(versusStable.confidence)"))
    }
    if let p99 {
      let bounds = [
        p99.max.map { "at most \($0)" }, p99.versusStable.map { "at most \($0) times stable's" },
        p99.leastDifference.map { "a difference below \($0) does not count" },
      ].compactMap { $0 }
      fields.append(Field("\(name).p99", bounds.joined(separator: ", ")))
    }
    return fields + [Field("\(name).userWindow", userWindow)] + checks.map { $0.field("\(name).checks") }
  }
}

extension AnalysisCheck {
  fileprivate func field(_ list: String) -> Field {
    var words: [String]
    let isSecret: Bool
    switch kind {
    case .command(let command, _): (words, isSecret) = ([command.asCommand], command.tellsSecrets)
    case .http(let url, let json, let equals):
      words = [url] + [json.map { "\($0)\(equals.map { " is \($0)" } ?? "")" }].compactMap { $0 }
      // Whoever guards an address by a word in its query would not see it printed.
      isSecret = SecretWords.isSecret(value: url) || url.contains("?")
    case .elsewhere(let hash): (words, isSecret) = (["one that is not known on this machine (\(hash.short))"], false)
    }
    words.append("every \(interval), \(timeout) each, \(count) to pass, \(failureLimit) may fail")
    return Field("\(list).\(name)", words.joined(separator: ", "), isSecret: isSecret)
  }
}

extension UserKey.Source {
  fileprivate var asText: String {
    switch self {
    case .cookie(let name): "cookie \(name)"
    case .header(let name): "header \(name)"
    case .jwtClaim(let claim, let cookie): "jwtClaim \(claim)\(cookie.map { " in cookie \($0)" } ?? "")"
    case .query(let name): "query \(name)"
    case .clientAddress: "clientAddress"
    }
  }
}

extension SecretSource {
  fileprivate var asText: String {
    switch self {
    case .env(let name): "from environment \(name)"
    case .file(let path): "from file \(path)"
    case .command(let words, _): "from command \(words.asCommand)"
    case .elsewhere(let hash): "from where is not known on this machine (\(hash.short))"
    }
  }
}

extension SecretSource {
  fileprivate var tellsSecrets: Bool { if case .command(let words, _) = self { words.tellsSecrets } else { false } }
}

extension [String] {
  fileprivate var asCommand: String { map { $0.contains(" ") || $0.isEmpty ? "'\($0)'" : $0 }.joined(separator: " ") }

  /// Whether a word is a secret: a URL with a password, `--token=…`, or what comes after `--token`.
  fileprivate var tellsSecrets: Bool {
    contains { SecretWords.isSecret(value: $0) || SecretWords.isSecret(key: $0) }
  }
}

extension Int64 {
  /// The largest exact unit: `512MiB`.
  fileprivate var asSize: String {
    for (unit, size) in [("GiB", Int64(1) << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where self >= size && self % size == 0 {
      return "\(self / size)\(unit)"
    }
    return "\(self)B"
  }
}
