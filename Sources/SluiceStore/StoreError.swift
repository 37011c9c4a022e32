/// Why the state could not be opened, read or written. Nothing was changed when one is thrown.
package struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of trouble, for programs.
  package enum Code: String, Hashable, Sendable {
    /// Nothing was ever stored of this fleet here.
    case notYet
    /// The directory or a file in it cannot be made, opened or written.
    case unusable
    /// The directory lies on a network file system.
    case network
    /// The file was written by a newer Sluice.
    case newer
    /// The file, or something in it, is not what Sluice writes.
    case damaged
    /// The record at hand is older than the stored one, or as old and other.
    case stale
    /// Another process kept the file for too long.
    case busy
    /// The caller asks for another fleet, or to write what was opened for reading.
    case misuse
  }

  package var code: Code
  /// One sentence: what happened and why.
  package var message: String
  /// What to do next; may be empty.
  package var remedy: String

  package init(_ code: Code, _ message: String, remedy: String = "") {
    self.code = code
    self.message = message
    self.remedy = remedy
  }

  package var description: String { remedy.isEmpty ? message : "\(message). \(remedy)" }
}
