/// A command that is run once for a release, on one host, before the first wave (a migration, say).
package struct ReleaseTask: Hashable, Codable, Sendable {
  /// Runs with the environment, secrets and user of the release's instances; `${RELEASE}` is replaced.
  package var command: [String]
  /// What follows when it ended and nobody knows how: its host was lost, or it was killed.
  package var onInterrupted: Interruption
  /// No release before this one can be gone back to once it has begun.
  package var irreversible: Bool
  /// After so long it is ended, and has failed.
  package var timeout: Milliseconds

  package enum Interruption: String, Hashable, Codable, Sendable, CaseIterable {
    /// An operator is asked.
    case pause
    /// It is run again.
    case rerun
  }

  package init(
    command: [String], onInterrupted: Interruption = .pause, irreversible: Bool = false, timeout: Milliseconds = .minutes(10)
  ) {
    self.command = command
    self.onInterrupted = onInterrupted
    self.irreversible = irreversible
    self.timeout = timeout
  }
}
