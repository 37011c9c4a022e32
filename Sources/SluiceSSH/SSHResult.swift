package import NIOCore

/// How a remote command ended.
package enum SSHExit: Sendable, Hashable, CustomStringConvertible {
  /// It exited with this status (RFC 4254 section 6.10).
  case status(Int32)
  /// A signal ended it; the name has no `SIG` before it (`KILL`, `TERM`).
  case signal(String)

  package var description: String {
    switch self {
    case .status(let status): "exit status \(status)"
    case .signal(let name): "killed by SIG\(name)"
    }
  }
}

/// What a remote command said and how it ended. A failing command is a result, not an error.
package struct SSHResult: Sendable, Hashable {
  package var stdout: ByteBuffer
  package var stderr: ByteBuffer
  package var exit: SSHExit

  package init(stdout: ByteBuffer, stderr: ByteBuffer, exit: SSHExit) {
    self.stdout = stdout
    self.stderr = stderr
    self.exit = exit
  }

  /// The exit status, or nil where a signal ended the command.
  package var status: Int32? { if case .status(let status) = exit { status } else { nil } }
  /// The signal's name, or nil where the command exited.
  package var signal: String? { if case .signal(let name) = exit { name } else { nil } }
  package var succeeded: Bool { exit == .status(0) }
  /// stdout as text; bytes that are not UTF-8 are replaced.
  package var output: String { String(buffer: stdout) }
  /// stderr as text; bytes that are not UTF-8 are replaced.
  package var errorOutput: String { String(buffer: stderr) }
}

/// A piece of what a running command said.
package struct SSHChunk: Sendable, Hashable {
  package enum Stream: Sendable, Hashable { case stdout, stderr }

  package var stream: Stream
  package var bytes: ByteBuffer

  package init(stream: Stream, bytes: ByteBuffer) {
    self.stream = stream
    self.bytes = bytes
  }
}
