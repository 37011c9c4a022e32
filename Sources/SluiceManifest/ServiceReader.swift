import SluiceModel
import SluiceTraffic

/// Reads a Service. Its larger keys have a file each.
enum ServiceReader {
  /// Reads the document's `spec`.
  static func read(_ document: MappingReader, name: ServiceName, formerly: ServiceName?) -> ServiceManifest {
    let form = Form<ServiceManifest>.object { spec in
      spec.notBuilt("config", "autoscale", "liveness", "analysis", "reschedule")
      var policy = target(spec, name: name)
      policy.formerly = formerly
      let artifact = spec.required("artifact", artifact, example: "artifact: { path: build/\(name).tar.gz }")
      let run = spec.required("run", .run, example: "run: { command: [bin/\(name)] }") ?? RunPart(run: RunSpec(command: []))
      policy.ports = ports(spec, default: policy.ports)
      let health = spec.optional("health", .health, default: HealthPart())
      let drain = spec.optional("drain", .drain, default: DrainPart())
      (policy.startTimeout, policy.minHealthyTime, policy.drain) = (health.startTimeout, health.minHealthyTime, drain.policy)
      policy.route = spec.optional("route", .route)
      readRelease(spec, into: &policy)
      checkProgress(policy, spec)
      fitStrategy(&policy, spec)
      return ServiceManifest(
        policy: policy, artifact: artifact ?? .path(""), run: run.run, secretSources: run.secretSources, readiness: health.readiness,
        stop: drain.stop, task: spec.optional("task", .task), baseDirectory: spec.cursor.document.baseDirectory)
    }
    return document.required("spec", form, example: "spec: { fleet: prod, … }") ?? nothing(name)
  }

  /// Where it runs, and how many of it.
  private static func target(_ spec: MappingReader, name: ServiceName) -> ServicePolicy {
    let fleet = FleetName(spec.required("fleet", .text, example: "fleet: prod") ?? "")
    var policy = ServicePolicy(name: name, fleet: fleet, replicas: 1)
    policy.replicas = spec.required("replicas", .number(0...100_000), example: "replicas: 2") ?? policy.replicas
    policy.tier = spec.optional("tier", .number(1...100), default: policy.tier)
    policy.placement = spec.optional("placement", .placement, default: policy.placement)
    return policy
  }

  /// How it is released.
  private static func readRelease(_ spec: MappingReader, into policy: inout ServicePolicy) {
    policy.strategy = spec.optional("strategy", .strategy, default: policy.strategy)
    policy.onFailure = spec.optional("onFailure", .oneOf(FailureAction.self), default: policy.onFailure)
    policy.failureBudget = spec.optional("failureBudget", .amount, default: policy.failureBudget)
    policy.progressDeadline = spec.optional("progressDeadline", .positiveDuration, default: policy.progressDeadline)
    policy.after = spec.optional("after", .list(of: .name, atLeast: 1, expected: "a list of services"))?.map { ServiceName($0) }
    policy.windows = spec.optional("windows", .windows)
    policy.hooks = spec.optional("hooks", hooks, default: [:])
  }

  /// What stands for a service whose `spec` cannot be read.
  private static func nothing(_ name: ServiceName) -> ServiceManifest {
    ServiceManifest(
      policy: ServicePolicy(name: name, fleet: "", replicas: 1), artifact: .path(""), run: RunSpec(command: []),
      readiness: ReadinessCheck(probe: .tcp), baseDirectory: "")
  }

  private static var artifact: Form<ArtifactSource> {
    .object { reader in
      reader.notBuilt("url", "sha256", "image")
      let path = reader.optional("path", .localPath)
      let directory = reader.optional("directory", .localPath)
      _ = reader.exactlyOne(of: ["path", "directory"], notBuilt: ["url", "image"])
      return path.map { .path($0) } ?? directory.map { .directory($0) }
    }
  }

  private static func ports(_ spec: MappingReader, default range: PortRange) -> PortRange {
    _ = spec.exactlyOne(of: ["ports", "port"], optional: true)
    let single = spec.optional("port", .port).map { PortRange(from: $0, to: $0) }
    let form = Form<PortRange>.object { reader in
      let from = reader.required("from", .port, example: "from: \(range.from)")
      let to = reader.required("to", .port, example: "to: \(range.to)")
      guard let from, let to else { return nil }
      if to < from {
        reader.cursor.error(
          .outOfRange, "`ports` ends before it begins", at: reader.cursor.document.place("spec.ports.to"),
          suggestion: "write `{ from: \(to), to: \(from) }`")
        return nil
      }
      return PortRange(from: from, to: to)
    }
    return spec.optional("ports", form) ?? single ?? range
  }

  private static var hooks: Form<[HookPoint: String]> {
    .object { reader in
      var hooks: [HookPoint: String] = [:]
      for point in HookPoint.allCases { hooks[point] = reader.optional(point.rawValue, .localPath) }
      return hooks
    }
  }

  /// Users can only be kept apart by a gateway, and by something that tells them apart.
  private static func fitStrategy(_ policy: inout ServicePolicy, _ spec: MappingReader) {
    let key: String
    switch policy.strategy {
    case .canary: key = "canary"
    case .blueGreen: key = "blueGreen"
    case .rolling, .recreate: return
    }
    if !spec.has("route") {
      spec.cursor.error(
        .conflictingKeys, "`strategy.\(key)` needs a `route`: a gateway decides which users get the new release",
        at: spec.cursor.document.place("spec.strategy.\(key)"), suggestion: "add `route: { gateway: … }`, or use `rolling`")
    } else if key == "canary", policy.route?.user == nil {
      policy.route?.user = .standard
    }
    if case .blueGreen(let blueGreen) = policy.strategy, !blueGreen.preview.isEmpty, let route = policy.route,
      !spec.cursor.document.hasErrors
    {
      let cursor = spec.cursor.key("strategy").key("blueGreen")
      cursor.report { () throws(RouteFault) in try RouteRules.preview(blueGreen.preview, of: route.hosts) }
    }
  }

  /// A rolling rollout that may neither add nor remove an instance never moves.
  private static func checkProgress(_ policy: ServicePolicy, _ spec: MappingReader) {
    guard !spec.cursor.document.hasErrors, policy.replicas > 0, case .rolling(let rolling) = policy.strategy,
      rolling.maxUnavailable.roundedDown(of: policy.replicas) == 0, rolling.maxSurge.roundedUp(of: policy.replicas) == 0
    else { return }
    let share = rolling.maxUnavailable == .count(0) ? "" : " (\(rolling.maxUnavailable) of \(policy.replicas), rounded down)"
    spec.cursor.error(
      .noProgress, "`strategy.rolling` can never replace an instance: `maxUnavailable` is 0\(share), and `maxSurge` is 0",
      at: spec.cursor.document.place("spec.strategy.rolling.maxUnavailable"),
      suggestion: "write `maxSurge: 1` where a host has a free slot, or `maxUnavailable: 1`")
  }
}

extension Form where Output == Placement {
  /// The `placement` mapping.
  static var placement: Form {
    object { reader in
      reader.notBuilt("reschedule", "antiAffinity", "affinity")
      let spread = reader.optional("spreadBy", .choice([("rack", true), ("none", false)], notBuilt: ["host", "label"]), default: true)
      let skew = reader.optional("maxSkew", .number(1...1000))
      if !spread, reader.has("maxSkew") {
        reader.cursor.error(
          .conflictingKeys, "`placement` has `spreadBy: none` and `maxSkew`", at: reader.cursor.document.place("spec.placement.maxSkew"),
          suggestion: "remove one of them")
      }
      return Placement(
        maxSkew: spread ? skew ?? Placement().maxSkew : nil,
        require: reader.optional("require", .table(keys: .label, values: .label), default: [:]),
        prefer: reader.optional("prefer", .table(keys: .label, values: .label)))
    }
  }
}
