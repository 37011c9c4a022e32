package import SluiceModel

/// One running copy of a release, as the record knows it: where it is, how far it has come, and whether it is to go.
package struct Instance: Hashable, Codable, Sendable {
  /// Unique within the service, never used twice.
  package let number: Int
  package let release: ReleaseNumber
  package let host: HostName
  /// Where gateways reach it: numeric.
  package let address: String
  package let port: Int
  /// The version of the service's secrets it was started with.
  package let secrets: String
  package var phase: InstancePhase
  /// Why it is to go; nil while it is wanted.
  package var condemned: CondemnReason?
  /// Since when every gateway calls it healthy, in the record's active time; nil while one does not.
  package var healthySince: Milliseconds?
  /// The first table of those, up to the newest, that all give it new requests; nil while the newest does not.
  package var admittedBy: Revision?
  /// Its program was not up when its host was looked at last; nil: it was, or nobody has looked.
  package var down: Downtime?

  package init(
    number: Int, release: ReleaseNumber, host: HostName, address: String, port: Int, secrets: String, phase: InstancePhase = .reserved
  ) {
    self.number = number
    self.release = release
    self.host = host
    self.address = address
    self.port = port
    self.secrets = secrets
    self.phase = phase
  }

  /// Healthy, in every gateway's pool and not draining: what the serving floor counts.
  package var isServing: Bool {
    if case .serving = phase { return healthySince != nil && condemned == nil }
    return false
  }

  /// Whether it may hold a process: what the cap counts. A lost instance was declared so, and counts no more.
  package var isExisting: Bool {
    switch phase {
    case .reserved, .retired, .lost: false
    case .starting, .checking, .warming, .serving, .draining, .stopping: true
    }
  }

  /// Whether nothing of it serves or will.
  var isGone: Bool {
    switch phase {
    case .retired, .lost: true
    case .reserved, .starting, .checking, .warming, .serving, .draining, .stopping: false
    }
  }

  var isLost: Bool { if case .lost = phase { true } else { false } }

  /// Whether it has come as far as a wanted instance comes, healthy at the moment or not.
  package var isSettled: Bool { phase == .serving }

  /// Whether it moves no further by itself while it is wanted.
  var isAtRest: Bool {
    switch phase {
    case .reserved, .serving, .retired, .lost: true
    case .starting, .checking, .warming, .draining, .stopping: false
    }
  }

  /// Whether it exists or is about to: what planning counts against the cap.
  package var takesPlace: Bool { isExisting || phase == .reserved }
}

extension [Instance] {
  /// Whether these are the same instances, as far as the others have come: what the two make of the same release, host and port.
  func stand(as others: [Instance]) -> Bool {
    count == others.count
      && indices.allSatisfy { index in
        self[index].number == others[index].number && self[index].phase == others[index].phase
          && self[index].condemned == others[index].condemned && self[index].healthySince == others[index].healthySince
          && self[index].admittedBy == others[index].admittedBy && self[index].down == others[index].down
      }
  }
}

/// How far an instance has come. Each phase names what may follow; `absorb` and `decide` are the only ones to move it.
package enum InstancePhase: Hashable, Codable, Sendable {
  /// Slot and port are held in the record; nothing was sent to the host. → starting, or removed.
  case reserved
  /// A start was sent. → checking (started), stopping (condemned), lost
  case starting
  /// It runs; its readiness is asked through the host's SSH connection. → warming, stopping, lost
  case checking
  /// Ready on the host and in the tables; each gateway's own probe is to pass. `acknowledged` is when every gateway had a table that names it.
  /// → serving, draining, lost
  case warming(acknowledged: Milliseconds?)
  /// Every gateway has called it healthy at least once. → draining, lost
  case serving
  /// The tables from `revision` on give it no new request; `acknowledged` is when every gateway had one of them. → stopping, warming (a rollout
  /// turned round), lost
  case draining(revision: Revision, acknowledged: Milliseconds?)
  /// A stop was sent. → retired, lost
  case stopping
  /// The process is gone and its port closed; host:port is held until every gateway has a table without it. → removed
  case retired
  /// Its host is unreachable and it was declared lost. → stopping or removed when the host is seen again.
  case lost
}

/// Why an instance is to go.
package enum CondemnReason: String, Hashable, Codable, Sendable {
  /// Another instance takes its place.
  case replaced
  /// More instances than wanted.
  case surplus
  /// It failed to start, or never became ready.
  case failed
  /// It belongs to no rollout that is wanted any more.
  case stale
}
