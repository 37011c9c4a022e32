package import SluiceModel

/// What a record names that runs on, or is read from, the machine of whoever acts: hooks, checks, and where secrets come from.
///
/// It stays on that machine. A copy of the record holds its hash in its place, and who goes on from the copy puts in what the manifests given
/// there, or the records kept there, say it is; what has another hash stays unknown, and does not run.
package enum ProgramReference: Hashable, Sendable {
  case hook(HookPoint, Digest)
  case check(String, Digest)
  case secret(String, Digest)

  /// For people: `the hook preDeploy`.
  package var name: String {
    switch self {
    case .hook(let point, _): "the hook \(point.rawValue)"
    case .check(let name, _): "the check \(name)"
    case .secret(let name, _): "the source of secret \(name)"
    }
  }

  package var hash: Digest {
    switch self {
    case .hook(_, let hash), .check(_, let hash), .secret(_, let hash): hash
    }
  }
}

/// A hook's place in a record, where only its hash is known: `sha256:` and the hash.
package enum HookReference {
  private static let prefix = "sha256:"

  package static func text(_ hash: Digest) -> String { prefix + hash.rawValue }
  package static func hash(_ command: String) -> Digest? {
    command.hasPrefix(prefix) ? Digest(String(command.dropFirst(prefix.count))) : nil
  }
}

/// Two checkouts of the same manifests lie in different folders: a hash is over what a manifest says, without the folder.
private struct ProgramHash {
  let hash: ([UInt8]) -> Digest

  private func of(_ words: [String]) -> Digest {
    // Each with its length before it, so that no two lists are one text.
    hash(words.flatMap { Array("\($0.utf8.count):\($0)".utf8) })
  }

  private func file(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

  func hook(_ point: HookPoint, _ path: String) -> Digest { of(["hook", point.rawValue, file(path)]) }

  func check(_ kind: AnalysisCheck.Kind) -> Digest {
    switch kind {
    case .command(let words, _): of(["check"] + words)
    case .http(let url, let json, let equals): of(["http", url, json ?? "", equals ?? ""])
    case .elsewhere(let hash): hash
    }
  }

  func secret(_ source: SecretSource) -> Digest {
    switch source {
    case .env(let name): of(["env", name])
    case .file(let path): of(["file", file(path)])
    case .command(let words, _): of(["command"] + words)
    case .elsewhere(let hash): hash
    }
  }
}

extension ServiceRecord {
  /// As it is copied to hosts and gateways. `hash` is SHA-256.
  package func withoutLocalPrograms(_ hash: @escaping ([UInt8]) -> Digest) -> ServiceRecord {
    var record = self
    record.policy = policy.withoutLocalPrograms(hash)
    record.rollout?.formerPolicy = rollout?.formerPolicy?.withoutLocalPrograms(hash)
    return record
  }

  /// With those that policies of this machine name, where the hash is the same.
  package func withLocalPrograms(of known: [ServicePolicy], _ hash: @escaping ([UInt8]) -> Digest) -> ServiceRecord {
    var record = self
    record.policy = policy.withLocalPrograms(of: known, hash)
    record.rollout?.formerPolicy = rollout?.formerPolicy?.withLocalPrograms(of: known, hash)
    return record
  }

  /// What is known by its hash only.
  package var unknownPrograms: [ProgramReference] { policy.unknownPrograms }

  /// The refusal for what the command may come to run and nobody here knows; nil: all of it is known.
  ///
  /// Going back after an `abort` is not kept waiting; hooks that only tell somebody hold nothing up.
  package func programNeeded(by verb: Command.Verb) -> Refusal? {
    let again: String
    switch verb {
    case .apply, .pause, .abort, .stop, .remove, .giveUpRoute, .exclude, .freeze, .unfreeze, .interrupt: return nil
    case .resume: again = "sluice rollout resume \(service) -f PATH"
    case .retry, .promote, .split, .rollback, .scale, .restart, .start, .settle: again = "the same command with -f PATH"
    }
    let unknown = unknownPrograms.first { program in
      switch program {
      case .hook(let point, _): HookCall(point).decides
      case .check: isRolling
      case .secret: false
      }
    }
    return unknown.map {
      Refusal(
        "\($0.name) of \(service) is not known on this machine (its hash \($0.hash.short)): it does not come with the copy of a record",
        remedy: "give the manifest that names it: \(again)")
    }
  }

  /// Every policy that it keeps.
  package var policies: [ServicePolicy] { [policy] + [rollout?.formerPolicy].compactMap(\.self) }
}

extension ServicePolicy {
  package func withoutLocalPrograms(_ hash: @escaping ([UInt8]) -> Digest) -> ServicePolicy {
    let programs = ProgramHash(hash: hash)
    var policy = self
    for point in HookPoint.allCases {
      guard let path = hooks[point], HookReference.hash(path) == nil else { continue }
      policy.hooks[point] = HookReference.text(programs.hook(point, path))
    }
    policy.secrets = secrets.mapValues { .elsewhere(programs.secret($0)) }
    policy.strategy = strategy.mapLocal(check: { .elsewhere(programs.check($0)) }, secret: { .elsewhere(programs.secret($0)) })
    return policy
  }

  func withLocalPrograms(of known: [ServicePolicy], _ hash: @escaping ([UInt8]) -> Digest) -> ServicePolicy {
    let programs = ProgramHash(hash: hash)
    var policy = self
    for point in HookPoint.allCases {
      guard let wanted = hooks[point].flatMap(HookReference.hash) else { continue }
      let found = known.lazy.compactMap { $0.hooks[point] }.first {
        HookReference.hash($0) == nil && programs.hook(point, $0) == wanted
      }
      if let found { policy.hooks[point] = found }
    }
    func source(_ source: SecretSource) -> SecretSource {
      guard case .elsewhere(let wanted) = source else { return source }
      return known.lazy.flatMap(\.localSources).first { programs.secret($0) == wanted } ?? source
    }
    let checks = known.flatMap { $0.strategy.checks.map(\.kind) }.filter(\.isKnown)
    policy.secrets = secrets.mapValues(source)
    policy.strategy = strategy.mapLocal(
      check: { kind in
        guard case .elsewhere(let wanted) = kind else { return kind }
        return checks.first { programs.check($0) == wanted } ?? kind
      }, secret: source)
    return policy
  }

  /// In the order of their names.
  private var localSources: [SecretSource] {
    var sources = secrets.sorted { $0.key < $1.key }.map(\.value)
    if case .canary(let canary) = strategy, let tester = canary.override { sources.append(tester.secret) }
    return sources.filter(\.isKnown)
  }

  package var unknownPrograms: [ProgramReference] {
    var unknown: [ProgramReference] = []
    for point in HookPoint.allCases { if let hash = hooks[point].flatMap(HookReference.hash) { unknown.append(.hook(point, hash)) } }
    for check in strategy.checks { if case .elsewhere(let hash) = check.kind { unknown.append(.check(check.name, hash)) } }
    for (name, source) in secrets.sorted(by: { $0.key < $1.key }) {
      if case .elsewhere(let hash) = source { unknown.append(.secret(name, hash)) }
    }
    return unknown
  }
}

extension SecretSource {
  fileprivate var isKnown: Bool { if case .elsewhere = self { false } else { true } }
}

extension AnalysisCheck.Kind {
  fileprivate var isKnown: Bool { if case .elsewhere = self { false } else { true } }
}

extension Strategy {
  fileprivate func mapLocal(
    check: (AnalysisCheck.Kind) -> AnalysisCheck.Kind, secret: (SecretSource) -> SecretSource
  ) -> Strategy {
    func map(_ checks: [AnalysisCheck]) -> [AnalysisCheck] {
      checks.map { one in
        var one = one
        one.kind = check(one.kind)
        return one
      }
    }
    switch self {
    case .rolling, .recreate: return self
    case .blueGreen(var blueGreen):
      blueGreen.checks = map(blueGreen.checks)
      return .blueGreen(blueGreen)
    case .canary(var canary):
      if let checks = canary.analysis?.checks { canary.analysis?.checks = map(checks) }
      for index in canary.steps.indices {
        if let checks = canary.steps[index].analysis?.checks { canary.steps[index].analysis?.checks = map(checks) }
      }
      if let source = canary.override?.secret { canary.override?.secret = secret(source) }
      return .canary(canary)
    }
  }
}
