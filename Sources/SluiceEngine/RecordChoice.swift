package import SluiceModel
package import SluiceRollout

/// Which record a controller goes on from, once the fence stands: the newest of the one at hand and the copies that hosts and gateways gave.
package enum RecordChoice: Hashable, Sendable {
  /// The one at hand.
  case known
  /// A copy that was found, and is newer.
  case copy(VerifiedRecord)
  /// There is none anywhere: the service begins.
  case none
  /// Somebody has acted on a newer one, and no copy of it was found: going on from an older one would undo what they did.
  case stale(Failure)

  /// Chooses by revision alone. `foreignEpoch` is the highest epoch that a controller of another machine held, 0 without one: its record is
  /// not in the database at hand. `standing` says that instances run. `takesOver`: the operator accepts an older record.
  package static func choose(
    service: ServiceName, known: Revision?, copies: [VerifiedRecord], foreignEpoch: UInt64, standing: Bool, takesOver: Bool
  ) -> RecordChoice {
    var choice = known == nil ? RecordChoice.none : .known
    var newest = known
    for copy in copies where newest.map({ copy.revision > $0 }) ?? true {
      newest = copy.revision
      choice = .copy(copy)
    }
    if takesOver { return choice }
    if let newest, newest.epoch < foreignEpoch {
      return .stale(
        Failure(
          .fenced,
          "the newest record of \(service) that was found is of epoch \(newest.epoch), and another controller has acted with epoch \(foreignEpoch)",
          remedy: "bring back a gateway or host that has its copy, or say --take-over to go on from the older record"))
    }
    if newest == nil, standing {
      return .stale(
        Failure(
          .fenced, "instances of \(service) run, and no record of them was found here, on a gateway or on a host",
          remedy: "bring back a gateway or host that has a copy, or say --take-over to begin anew and stop what runs"))
    }
    return choice
  }
}
