internal import Glibc

/// Why something on this machine could not be read, packed or run. Nothing was changed elsewhere when one is thrown.
package struct LocalError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What happened and why, as one sentence without a full stop. Never holds a secret's value.
  package var message: String
  /// The last output of a program that failed; may be empty.
  package var output: String
  /// What to do next; may be empty.
  package var remedy: String

  package init(_ message: String, output: String = "", remedy: String = "") {
    self.message = message
    self.output = output
    self.remedy = remedy
  }

  package var description: String {
    var text = message
    if !remedy.isEmpty { text += ". \(remedy)" }
    if !output.isEmpty { text += "\n\(output)" }
    return text
  }
}

/// The system's words for an error number.
func systemMessage(_ number: Int32) -> String { String(cString: strerror(number)) }
