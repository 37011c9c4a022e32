/// What the engine relies on from one of its ports. Every adapter keeps it: the real one, and the simulated one too, for else the simulator
/// would prove the engine against a world that is not.
package struct Law<Subject: Sendable>: Sendable, CustomStringConvertible {
  package let description: String
  /// Throws `BrokenLaw`, or whatever keeps the subject from being asked.
  package let check: @Sendable (Subject) async throws -> Void

  init(_ description: String, _ check: @escaping @Sendable (Subject) async throws -> Void) {
    self.description = description
    self.check = check
  }
}

package struct BrokenLaw: Error, CustomStringConvertible {
  package var description: String
}

/// Throws with what was seen instead, and where it was asked for.
func demand(_ holds: Bool, _ seen: @autoclosure () -> String, line: UInt = #line) throws {
  if !holds { throw BrokenLaw(description: "\(seen()) (line \(line))") }
}
