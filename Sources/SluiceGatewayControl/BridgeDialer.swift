internal import NIOCore
package import SluiceModel
package import SluiceSSH
internal import Synchronization

/// Reaches gateways through `sluice-gateway bridge` on their host, over its SSH connection. Each stream is one exec of it.
package struct BridgeDialer: GatewayDialer {
  /// The exit status by which the command line says that there is no gateway on the host yet.
  package static let notInstalled: Int32 = 83

  private let start: @Sendable (HostName, String) async throws -> SSHByteChannel
  private let command: @Sendable (GatewayID) -> String

  /// `start` starts a command line on a host, which goes on until it is closed; `command` is the bridge's command line there.
  package init(
    start: @escaping @Sendable (HostName, String) async throws -> SSHByteChannel, command: @escaping @Sendable (GatewayID) -> String
  ) {
    self.start = start
    self.command = command
  }

  package func dial(_ gateway: GatewayID) async throws -> any GatewayStream {
    BridgeStream(try await start(gateway.host, command(gateway)))
  }
}

/// The standard input and output of a bridge.
private final class BridgeStream: GatewayStream {
  private static let errorLimit = 2_048

  private struct State {
    var errors = ByteBuffer()
    var hasAnswered = false
  }

  private let channel: SSHByteChannel
  private let state = Mutex(State())

  init(_ channel: SSHByteChannel) { self.channel = channel }

  func write(_ bytes: ByteBuffer) async throws { try await channel.write(bytes) }

  func read() async throws -> ByteBuffer? {
    while let chunk = try await channel.read() {
      switch chunk.stream {
      case .stdout:
        state.withLock { $0.hasAnswered = true }
        return chunk.bytes
      case .stderr:
        state.withLock { state in
          state.errors.writeImmutableBuffer(chunk.bytes)
          state.errors.moveReaderIndex(forwardBy: max(0, state.errors.readableBytes - Self.errorLimit))
        }
      }
    }
    let (answered, errors) = state.withLock { ($0.hasAnswered, String(buffer: $0.errors)) }
    // The bridge exits 0 after it had a connection; the shell and sudo exit otherwise where they cannot start it.
    guard !answered, let exit = try await channel.exit(), exit != .status(0) else { return nil }
    if exit == .status(BridgeDialer.notInstalled) { throw GatewayUnreachable("not installed yet: sluice apply installs it") }
    let words = errors.split(separator: "\n").joined(separator: "; ")
    throw GatewayUnreachable("its bridge ended at once (\(exit))" + (words.isEmpty ? "" : ": \(words)"))
  }

  func close() async { await channel.close() }
}
