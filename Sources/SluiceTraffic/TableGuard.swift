public import SluiceModel

/// Who may change a service here and what is too old to be taken: the fence that stands, and the revision that is live.
public struct TableGuard: Hashable, Codable, Sendable {
  /// Nobody: any fence is admitted.
  public static let nobody = Fence(owner: "", epoch: 0)

  public private(set) var fence: Fence
  public private(set) var revision: Revision?

  public init(fence: Fence = TableGuard.nobody, revision: Revision? = nil) {
    self.fence = fence
    self.revision = revision
  }

  /// What to do with something that carries a fence, and perhaps a revision.
  public enum Verdict: Hashable, Sendable {
    /// It is newer: take it.
    case take
    /// It is what stands already: nothing to do, and no error.
    case already
    /// Another holds the fence.
    case fenced(by: Fence)
    /// A newer one is live.
    case stale(live: Revision)
    /// The live one has the same revision and other content.
    case conflicting(live: Revision)
    /// It claims an epoch above its own fence's, which nobody could have written.
    case impossible
    /// Its epoch is beyond all bounds, or so far above this fence's that no controller can have counted up to it: taken, it would lock everybody
    /// out for good.
    case leaping(over: Fence)
    /// Its revision is beyond all bounds.
    case unbounded(Revision)
  }

  /// Judges an order that has no revision of its own: switch, removal, claim.
  public func judge(_ fence: Fence) -> Verdict {
    guard self.fence.admits(fence) else { return .fenced(by: self.fence) }
    if self.fence == fence { return .already }
    return fence.isBounded && !fence.leaps(over: self.fence) ? .take : .leaping(over: self.fence)
  }

  /// Judges content with a revision against the live one. `same` says whether the content equals the live content.
  public func judge(_ fence: Fence, revision: Revision, same: Bool) -> Verdict {
    switch judge(fence) {
    case .take, .already: break
    case let verdict: return verdict
    }
    return TableGuard.judge(revision, under: fence, against: self.revision, same: same)
  }

  /// The same for content that keeps a revision beside this one (the record copy).
  public static func judge(_ revision: Revision, under fence: Fence, against live: Revision?, same: Bool) -> Verdict {
    guard revision.isBounded else { return .unbounded(revision) }
    guard revision.epoch <= fence.epoch else { return .impossible }
    guard let live else { return .take }
    if revision < live { return .stale(live: live) }
    if revision == live { return same ? .already : .conflicting(live: live) }
    return .take
  }

  /// Raises the fence; only after a verdict of `take` or `already`.
  public mutating func raise(to fence: Fence) {
    precondition(self.fence.admits(fence), "a lower fence must have been refused")
    self.fence = fence
  }

  /// The way out of a fence that nobody can exceed: it is given back to a number that controllers can count on from, whatever stands. The revision
  /// falls with it, so that the next table is the newer one.
  public mutating func reset(to fence: Fence) {
    self.fence = fence
    revision = revision.map { TableGuard.lowered($0, to: fence) }
  }

  /// A claim that came to nothing elsewhere is taken back: the fence before it stands again.
  public mutating func withdraw(to former: Fence) {
    precondition(former.admits(fence), "what stood before admitted the claim")
    fence = former
  }

  /// A revision from above the fence counts as one from before everything that is written under it.
  public static func lowered(_ revision: Revision, to fence: Fence) -> Revision {
    revision.epoch < fence.epoch && revision.isBounded ? revision : Revision(epoch: 0, version: 0)
  }

  /// Notes the revision that is live now; nil after a removal keeps the last one, so that a late copy of it stays refused.
  public mutating func took(_ revision: Revision) { self.revision = revision }
}
