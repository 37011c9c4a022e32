import Glibc

/// Something that was printed could not be written.
struct LostOutput: Error, CustomStringConvertible {
  private let cause: String

  var description: String { "not all of the output could be written (\(cause)): what is there of it is not to be relied on" }

  /// Writes what has been printed so far: whoever reads a part of it must not take it for all.
  static func check() throws(LostOutput) {
    if fflush(nil) != 0 { throw LostOutput(cause: String(cString: strerror(errno))) }
  }
}
