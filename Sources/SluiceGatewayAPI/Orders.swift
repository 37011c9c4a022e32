package import SluiceModel
package import SluiceTraffic

/// `PUT /v1/services/NAME/switch`: where the switch shall stand, now or at a given time.
package struct SwitchOrder: Hashable, Codable, Sendable {
  package var fence: Fence
  package var state: SwitchMachine.State
  /// When it shall happen, UTC; nil: now. Refused when more than 500 ms in the past. A later order with a time replaces a pending one.
  package var at: WallTime?

  package init(fence: Fence, state: SwitchMachine.State, at: WallTime? = nil) {
    self.fence = fence
    self.state = state
    self.at = at
  }
}

/// An order that says nothing but who gives it: `PUT …/fence` (claim), `DELETE …/fence` (the claim came to nothing elsewhere),
/// `PUT …/lease` (the controller is there: see `RouteTable.FallBack`), `DELETE …/switch/at` and `DELETE /v1/services/NAME`.
package struct FenceOrder: Hashable, Codable, Sendable {
  package var fence: Fence

  package init(fence: Fence) { self.fence = fence }
}

/// `PUT /v1/services/NAME/fence/reset`: the way out of a fence that no controller can exceed. An operator's word, never a controller's own: `fence`
/// stands from now on, though it is lower, if `standing` is what stands still. The table goes on to be served, and counts as older than whatever is
/// written under the new fence; a record copy from above it is dropped, since nobody could have written it. Answered like a claim.
package struct FenceReset: Hashable, Codable, Sendable {
  /// What the operator was shown.
  package var standing: Fence
  package var fence: Fence

  package init(standing: Fence, fence: Fence) {
    self.standing = standing
    self.fence = fence
  }
}

/// `PUT /v1/services/NAME/record`: a copy of the service record, kept beside the route for whoever takes the fence next.
package struct RecordOrder: Hashable, Codable, Sendable {
  package var fence: Fence
  package var record: RecordCopy

  package init(fence: Fence, record: RecordCopy) {
    self.fence = fence
    self.record = record
  }
}

/// A service record as a gateway keeps it: opaque to the gateway.
package struct RecordCopy: Hashable, Codable, Sendable {
  /// The record's own age. An older one, or an equal one with other content, is refused.
  package var revision: Revision
  /// Base64 of whatever the controller wrote.
  package var content: String

  package init(revision: Revision, content: String) {
    self.revision = revision
    self.content = content
  }
}

/// The answer to a claim: what stands here now, so that the new holder can go on from it.
package struct ClaimReply: Hashable, Codable, Sendable {
  package var status: ServiceStatus
  /// The table that is live; nil before the first and after a removal.
  package var table: RouteTable?
  /// The newest record copy here.
  package var record: RecordCopy?

  package init(status: ServiceStatus, table: RouteTable?, record: RecordCopy?) {
    self.status = status
    self.table = table
    self.record = record
  }
}

/// The body of every answer that is not a success.
package struct AdminError: Error, Hashable, Codable, Sendable, CustomStringConvertible {
  package var reason: Reason
  /// What happened and why.
  package var error: String
  /// What to do next.
  package var remedy: String
  /// Who holds the fence, for `fenceHeld`, `fenceLeap` and a reset that came too late.
  package var holder: Fence?
  /// What stands here, for `staleRevision` and `conflictingRevision`.
  package var current: Revision?
  /// What another service has, and which, for `routeTaken`.
  package var taken: LostRoute?

  package init(reason: Reason, error: String, remedy: String, holder: Fence? = nil, current: Revision? = nil, taken: LostRoute? = nil) {
    self.reason = reason
    self.error = error
    self.remedy = remedy
    self.holder = holder
    self.current = current
    self.taken = taken
  }

  /// The kind of refusal, for programs.
  package enum Reason: String, Hashable, Codable, Sendable, CaseIterable {
    /// 409: another fence stands.
    case fenceHeld
    /// 409: a newer revision stands.
    case staleRevision
    /// 409: the same revision stands, with other content.
    case conflictingRevision
    /// 409: another service has a (host, path) that the table asks for.
    case routeTaken
    /// 409: the fence's epoch is beyond all bounds, or too far above the one that stands.
    case fenceLeap
    /// 400: the request cannot be read or contradicts itself.
    case badRequest
    /// 400: the time of an order is past.
    case past
    /// 404: no such path or service.
    case notFound
    /// 405: the path exists, the method does not.
    case method
    /// 413: the body is too big.
    case tooBig
    /// 500: the state could not be made durable; nothing has changed.
    case notDurable
    /// 503: the process is ending.
    case ending

    /// The HTTP status that goes with it.
    package var status: Int {
      switch self {
      case .fenceHeld, .staleRevision, .conflictingRevision, .routeTaken, .fenceLeap: 409
      case .badRequest, .past: 400
      case .notFound: 404
      case .method: 405
      case .tooBig: 413
      case .notDurable: 500
      case .ending: 503
      }
    }
  }

  package var description: String { "\(error). \(remedy)" }
}
