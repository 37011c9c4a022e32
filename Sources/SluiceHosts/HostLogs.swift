internal import NIOCore
package import SluiceModel
internal import SluiceSSH
package import SluiceRollout

/// One line that an instance wrote.
package struct LogLine: Hashable, Sendable {
  package var instance: InstanceID
  package var text: String
}

extension FleetHosts {
  /// What an instance wrote: the last `lines`, then, with `follow`, what comes, until the stream is dropped.
  ///
  /// Ends with `HostFailure` for an instance that is not there, or with what SSH said.
  package func logs(_ service: ServiceName, instance: Int, on host: Host, lines: Int = 100, follow: Bool = false) -> AsyncThrowingStream<
    LogLine, any Error
  > {
    let id = InstanceID(service: service, number: instance)
    var script = HostScript(Self.logScript)
    script.set(place: service, on: host)
    script.set("number", instance)
    script.set("lines", lines)
    script.set("follow", follow ? 1 : 0)
    let command = script.argument(become: false)
    let link = link(host)
    return AsyncThrowingStream { continuation in
      let task = Task {
        do {
          let channel = try await link.stream(command, .logs)
          try await channel.closeInput()
          var splitter = LineSplitter()
          var isAnswer = false
          while let chunk = try await channel.read() {
            guard chunk.stream == .stdout else { continue }
            for line in splitter.take(chunk.bytes.readableBytesView) {
              if isAnswer { continuation.yield(LogLine(instance: id, text: line)) } else { isAnswer = line == HostAnswer.version }
            }
          }
          if let rest = splitter.rest() { continuation.yield(LogLine(instance: id, text: rest)) }
          let exit = try await channel.exit()
          guard exit == .status(3) else { return continuation.finish() }
          throw HostFailure(
            failure: Failure(.host, "\(host.name) has no instance \(id)", remedy: "sluice status \(service) shows where it runs."))
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  private static let logScript = #"""
    load_instance "$number" || exit 3
    case $i_runtime in
      systemd)
        set -- -q -u "$unit" -n "$lines" -o cat --no-pager
        [ "$follow" = 0 ] || set -- "$@" -f
        exec journalctl "$@"
        ;;
      *)
        set -- -n "$lines"
        [ "$follow" = 0 ] || set -- "$@" -F
        exec tail "$@" "$dir/log"
        ;;
    esac
    """#
}

/// A failure as an error, for calls that are no attempts.
package struct HostFailure: Error, Sendable, CustomStringConvertible {
  package var failure: Failure
  /// The host could not be reached, or was lost in the middle: nothing is known to be wrong with it.
  package var isUnreachable = false
  package var description: String {
    failure.message + (failure.output.isEmpty ? "" : "\n\(failure.output)") + (failure.remedy.isEmpty ? "" : "\n\(failure.remedy)")
  }
}

/// Whole lines out of pieces; a line of more than 64 KiB is cut there.
struct LineSplitter {
  private static let limit = 65_536
  private var pending: [UInt8] = []

  mutating func take(_ bytes: some Sequence<UInt8>) -> [String] {
    var lines: [String] = []
    for byte in bytes {
      if byte == UInt8(ascii: "\n") || pending.count == Self.limit {
        lines.append(String(decoding: pending, as: UTF8.self))
        pending.removeAll(keepingCapacity: true)
        if byte == UInt8(ascii: "\n") { continue }
      }
      pending.append(byte)
    }
    return lines
  }

  /// What came after the last line's end; nil for nothing.
  mutating func rest() -> String? {
    guard !pending.isEmpty else { return nil }
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }
}
