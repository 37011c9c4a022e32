package import SluiceModel

extension Scenario {
  /// What the manifest of a release says otherwise than that of the first; nil: the same.
  package struct Change: Hashable, Sendable {
    package var readiness: ReadinessCheck?
    package var replicas: Int?
    package var ports: PortRange?
    /// Of the route.
    package var path: String?
    /// The route's, where it is another one than at first.
    package var gateway: GatewayName?

    package init() {}
  }

  /// A gateway that refuses the tables which name a release, for a reason of its own.
  package struct TableRefusal: Hashable, Sendable {
    /// nil: every one of them does.
    package var gateway: HostName?
    /// How many tables it refuses; nil: each.
    package var times: Int?

    package init(gateway: HostName?, times: Int?) {
      self.gateway = gateway
      self.times = times
    }
  }
}

extension Scenario.Change {
  /// One of them, for whoever makes a story smaller.
  struct Field: Sendable {
    let isUnset: @Sendable (Scenario.Change) -> Bool
    let unset: @Sendable (inout Scenario.Change?) -> Void
  }

  static let fields = [
    Field(isUnset: { $0.readiness == nil }, unset: { $0?.readiness = nil }),
    Field(isUnset: { $0.replicas == nil }, unset: { $0?.replicas = nil }),
    Field(isUnset: { $0.ports == nil }, unset: { $0?.ports = nil }),
    Field(isUnset: { $0.path == nil }, unset: { $0?.path = nil }),
    Field(isUnset: { $0.gateway == nil }, unset: { $0?.gateway = nil }),
  ]

  var words: String {
    var words: [String] = []
    if let readiness { words.append("readiness \(readiness.probe)") }
    if let replicas { words.append("\(replicas) replicas") }
    if let ports { words.append("ports \(ports.from) to \(ports.to)") }
    if let path { words.append("path \(path)") }
    if let gateway { words.append("gateway \(gateway)") }
    return words.isEmpty ? "nothing else" : words.joined(separator: ", ")
  }
}

extension Scenario.Plan {
  /// What is brought in mid-rollout, or to mend what is there, has the newest manifest of all.
  private func change(of release: Int) -> Scenario.Change? {
    release < Scenario.superseding ? changes[release] : releases.last.flatMap { changes[$0] }
  }

  /// The manifest that comes with that release.
  package func policy(of release: Int) -> ServicePolicy {
    guard let change = change(of: release) else { return policy }
    var changed = policy
    if let replicas = change.replicas { changed.replicas = replicas }
    if let ports = change.ports { changed.ports = ports }
    if let path = change.path { changed.route?.path = path }
    if let gateway = change.gateway { changed.route?.gateway = gateway }
    return changed
  }

  /// What that release promises to answer.
  package func readiness(of release: Int) -> ReadinessCheck { change(of: release)?.readiness ?? ReadinessCheck(probe: .tcp) }
}
