import SluiceModel

/// Warnings about times and numbers of one service that contradict each other at 3 in the morning.
struct TimingChecks {
  private let declarations: Declarations
  private let report: Report

  init(_ declarations: Declarations, _ report: Report) {
    self.declarations = declarations
    self.report = report
  }

  /// Adds what it finds to the report.
  func run() {
    for service in declarations.services where !service.document.hasErrors {
      checkDrain(service)
      checkHealth(service)
      checkDeadline(service)
      checkStrategy(service)
      checkIssuedCookie(service)
    }
  }

  /// Browsers keep a secure cookie only when it comes over TLS, which a gateway does not speak itself: without it each request is another user's.
  private func checkIssuedCookie(_ service: Declared<ServiceManifest>) {
    let policy = service.value.policy
    guard let route = policy.route, let user = route.user, user.absent == .issue, user.issued.secure else { return }
    let gateway = declarations.gateways.first { $0.value.name == route.gateway && $0.value.fleet == policy.fleet }
    guard let gateway, gateway.value.trustedProxies.isEmpty else { return }
    report.warning(
      .secureCookieOverHTTP,
      "`issue.secure` at gateway `\(route.gateway)`, which listens in plain HTTP and trusts no proxy before it: browsers drop the cookie, and one user meets both releases by turns",
      at: service.document.place("spec.route.user.issue.secure"),
      suggestion: "name what speaks TLS before it in the gateway's `trustedProxies`, or leave `secure` out")
  }

  /// Verdicts that cannot come, or that say nothing.
  private func checkJudgement(_ canary: Canary, _ service: Declared<ServiceManifest>) {
    let noTesters = canary.allow.isEmpty && canary.override == nil
    for (index, step) in canary.steps.enumerated() where step.users == .zero && noTesters {
      guard let analysis = step.analysis ?? canary.analysis else { continue }
      let asksUsers =
        analysis.minRequests > 0 || analysis.maxErrorRate != nil || analysis.versusStable != nil || analysis.p99 != nil
      guard asksUsers else { continue }
      report.warning(
        .canaryWithoutUsers, "step \(index + 1) gives the canary to nobody, and waits for a verdict on what they met: it never comes",
        at: service.document.place("spec.strategy.canary.steps[\(index)].users"),
        suggestion: "give it users, or testers by `allow` or `override`, or judge the step by `analysis: { minRequests: 0, checks: [ … ] }`"
      )
    }
    let analyses =
      [("spec.strategy.canary", canary.analysis)]
      + canary.steps.enumerated().map {
        ("spec.strategy.canary.steps[\($0)]", $1.analysis)
      }
    for (path, analysis) in analyses {
      guard let p99 = analysis?.p99, let ratio = p99.versusStable, p99.leastDifference == nil else { continue }
      report.warning(
        .noLeastDifference,
        "`p99.versusStable: \(ratio)` without `leastDifference`: where stable answers in 2ms, a canary that takes \(Int((ratio * 2000).rounded()))µs is judged as slow",
        at: service.document.place("\(path).analysis.p99.versusStable"), suggestion: "write `leastDifference: 20ms` beside it")
    }
  }

  private func checkDrain(_ service: Declared<ServiceManifest>) {
    let policy = service.value.policy
    guard let route = policy.route, policy.drain.timeout < route.timeouts.response else { return }
    let path = service.document.has("spec.drain.timeout") ? "spec.drain.timeout" : "spec.route.timeouts.response"
    report.warning(
      .drainBelowResponse,
      "`drain.timeout` (\(policy.drain.timeout)) is below `route.timeouts.response` (\(route.timeouts.response)): slow requests would be cut off",
      at: service.document.place(path), suggestion: "write `drain: { timeout: \(route.timeouts.response) }`")
  }

  private func checkHealth(_ service: Declared<ServiceManifest>) {
    let (policy, readiness) = (service.value.policy, service.value.readiness)
    if policy.minHealthyTime == .zero {
      report.warning(
        .noMinHealthyTime, "`health.minHealthyTime` is 0: an instance that crashes a moment after its first answer counts as healthy",
        at: service.document.place("spec.health.minHealthyTime"), suggestion: "write `minHealthyTime: 5s`")
    }
    if readiness.timeout > readiness.interval * Int64(readiness.fall) {
      report.warning(
        .probeTimeout,
        "`readiness.timeout` (\(readiness.timeout)) is longer than `fall` intervals (\(readiness.fall) × \(readiness.interval)): a hanging instance is found late",
        at: service.document.place("spec.health.readiness.timeout"), suggestion: "write `timeout: \(readiness.interval)`")
    }
    let earliest = readiness.interval * Int64(readiness.rise - 1)
    if policy.startTimeout <= earliest {
      report.warning(
        .startTimeoutTooShort,
        "`health.startTimeout` (\(policy.startTimeout)) ends before `rise: \(readiness.rise)` answers can be had (\(earliest))",
        at: service.document.place("spec.health.startTimeout"), suggestion: "write more than `\(earliest)`")
    }
  }

  private func checkDeadline(_ service: Declared<ServiceManifest>) {
    let policy = service.value.policy
    let needed = policy.startTimeout + policy.minHealthyTime
    guard policy.progressDeadline < needed else { return }
    let path = service.document.has("spec.progressDeadline") ? "spec.progressDeadline" : "spec.health"
    report.warning(
      .progressDeadlineTooShort,
      "`progressDeadline` (\(policy.progressDeadline)) is shorter than `startTimeout` and `minHealthyTime` together (\(needed))",
      at: service.document.place(path), suggestion: "write `progressDeadline: \(max(needed * 2, .minutes(10)))`")
  }

  /// A canary that cannot carry its users, or that goes on whatever they meet.
  private func checkCanary(_ canary: Canary, _ service: Declared<ServiceManifest>) {
    let replicas = service.value.policy.replicas
    for (index, step) in canary.steps.enumerated() {
      guard let instances = step.instances else { continue }
      let needed = Amount.share(step.users).roundedUp(of: replicas)
      if instances.roundedUp(of: replicas) < needed {
        report.warning(
          .canaryTooSmall, "\(instances) of \(replicas) instances are to serve \(step.users) of the users, which takes \(needed) today",
          at: service.document.place("spec.strategy.canary.steps[\(index)].instances"),
          suggestion: "write `instances: \(needed)`, or leave it out")
      }
    }
    let judged = canary.analysis != nil || canary.steps.contains { $0.analysis != nil || $0.approve }
    if !judged, canary.steps.allSatisfy({ $0.hold == .zero }) {
      report.warning(
        .canaryNeverJudged, "no step of this canary waits for anything: it goes on whatever its users meet",
        at: service.document.place("spec.strategy.canary.steps"), suggestion: "give steps a `hold` and the canary an `analysis`")
    }
  }

  private func checkStrategy(_ service: Declared<ServiceManifest>) {
    let policy = service.value.policy
    switch policy.strategy {
    case .rolling(let rolling):
      if policy.replicas == 1, rolling.maxUnavailable.roundedDown(of: 1) >= 1 {
        report.warning(
          .dropsToZero, "with 1 replica, `maxUnavailable: \(rolling.maxUnavailable)` leaves none while it is replaced",
          at: service.document.place("spec.strategy.rolling.maxUnavailable"),
          suggestion: "write `maxUnavailable: 0, maxSurge: 1`, or `recreate`, which holds requests meanwhile")
      }
    case .canary(let canary):
      checkCanary(canary, service)
      checkJudgement(canary, service)
    case .blueGreen: break
    case .recreate:
      if policy.route == nil, service.document.has("spec.strategy.recreate.queue") {
        report.warning(
          .queueWithoutRoute, "`recreate.queue` holds no request: this service has no route",
          at: service.document.place("spec.strategy.recreate.queue"), suggestion: "remove `queue`, or add `route`")
      }
    }
  }
}
