package import SluiceModel

/// What an operator asks of a service. The id makes it count once.
package struct Command: Hashable, Codable, Sendable {
  package let id: String
  package let by: String
  package let at: WallTime
  package let verb: Verb
  /// The number of the rollout that ran when it was typed, 0 where none did: it is not obeyed for another. nil: whatever runs is meant.
  package let about: Int?

  package init(id: String, by: String, at: WallTime, verb: Verb, about: Int? = nil) {
    self.id = id
    self.by = by
    self.at = at
    self.verb = verb
    self.about = about
  }

  package enum Verb: Hashable, Codable, Sendable {
    /// The manifest's policy and release; `secrets` is the version of the secrets' values. An operator's number of replicas stands until
    /// `dropsScale` says that the manifest's counts again.
    case apply(
      policy: ServicePolicy, digest: Digest, spec: ReleaseSpec, secrets: String, force: Bool, dropsScale: Bool = false)
    case pause
    /// Goes on after a pause, an interruption or a crash.
    case resume
    case abort
    /// Goes forward again after `stoppedBy`.
    case retry
    /// Ends the step that a rollout is in; `full` skips the ones after it too.
    case promote(full: Bool)
    /// Gives the new release this share of users, instead of its step's.
    case split(BasisPoints)
    /// nil: the release before the one that runs. `marksBad`: the one that is left is not to be applied again.
    case rollback(to: ReleaseNumber?, marksBad: Bool? = nil)
    case scale(Int)
    /// nil: every instance.
    case restart(instance: Int?)
    case stop
    case start
    /// Ends it for good: drained, stopped, its route and files away. `successor`: once the service of that name serves in its place.
    case remove(successor: ServiceName?)
    /// Lets others have the route of a service that is stopped.
    case giveUpRoute
    /// The hosts that are cordoned have changed; `overrideFloor` allows less than the floor to serve meanwhile.
    case settle(cause: String, overrideFloor: Bool)
    case exclude(GatewayID, Bool)
    /// No release begins or goes further until `unfreeze`; why.
    case freeze(String)
    case unfreeze
    /// Ctrl-C: stop at a safe point.
    case interrupt
  }
}

/// Why a command cannot be taken: nothing was changed.
package struct Refusal: Error, Hashable, Codable, Sendable {
  package var message: String
  package var remedy: String

  package init(_ message: String, remedy: String = "") {
    self.message = message
    self.remedy = remedy
  }
}

/// One line of a service's history: append-only.
package struct RecordEvent: Hashable, Codable, Sendable {
  package enum Level: String, Codable, Sendable { case info, warning, failure }

  package var level: Level
  /// A stable word for machines: `wave-begun`, `instance-serving` …
  package var kind: String
  package var text: String
  package var instance: Int?
  package var host: HostName?
  /// When what it tells of is to happen, where that is later.
  package var due: WallTime?

  package init(
    _ level: Level, _ kind: String, _ text: String, instance: Int? = nil, host: HostName? = nil, due: WallTime? = nil
  ) {
    self.level = level
    self.kind = kind
    self.text = text
    self.instance = instance
    self.host = host
    self.due = due
  }
}
