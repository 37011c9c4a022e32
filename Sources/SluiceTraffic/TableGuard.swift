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
  }

  /// Judges an order that has no revision of its own: switch, removal, claim.
  public func judge(_ fence: Fence) -> Verdict {
    guard self.fence.admits(fence) else { return .fenced(by: self.fence) }
    return self.fence == fence ? .already : .take
  }

  /// Judges content with a revision against the live one. `same` says whether the content equals the live content.
  public func judge(_ fence: Fence, revision: Revision, same: Bool) -> Verdict {
    guard self.fence.admits(fence) else { return .fenced(by: self.fence) }
    return TableGuard.judge(revision, under: fence, against: self.revision, same: same)
  }

  /// The same for content that keeps a revision beside this one (the record copy).
  public static func judge(_ revision: Revision, under fence: Fence, against live: Revision?, same: Bool) -> Verdict {
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

  /// Notes the revision that is live now; nil after a removal keeps the last one, so that a late copy of it stays refused.
  public mutating func took(_ revision: Revision) { self.revision = revision }
}
