internal import NIOCore
package import SluiceModel
internal import SluiceSSH
package import SluiceRollout

/// One line that an instance wrote, without its end.
package struct LogLine: Hashable, Sendable {
  package var instance: InstanceID
  package var bytes: [UInt8]

  /// Bytes that are not UTF-8 are replaced.
  package var text: String { String(decoding: bytes, as: UTF8.self) }
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
    script.set(place: service, of: fleet.name, on: host)
    script.set("number", instance)
    script.set("lines", lines)
    script.set("follow", follow ? 1 : 0)
    let (link, logs) = (link(host), script)
    return AsyncThrowingStream { continuation in
      let task = Task {
        do {
          let channel = try await link.stream(logs, .logs)
          var splitter = LineSplitter()
          var isAnswer = false
          while let chunk = try await channel.read() {
            guard chunk.stream == .stdout else { continue }
            for line in splitter.take(chunk.bytes.readableBytesView) {
              if isAnswer {
                continuation.yield(LogLine(instance: id, bytes: line))
              } else {
                isAnswer = line.elementsEqual(HostAnswer.version.utf8)
              }
            }
          }
          if let rest = splitter.rest() { continuation.yield(LogLine(instance: id, bytes: rest)) }
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

  /// The numbers of a service's instances on a host, whoever put them there, in order. Throws `HostFailure`.
  package func instances(of service: ServiceName, on host: Host) async throws(HostFailure) -> [Int] {
    var script = HostScript(Self.listScript)
    script.set(place: service, of: fleet.name, on: host)
    do {
      let answer = try await link(host).run(script, .logs, limits: limits)
      return answer.values("instance").filter { $0.utf8.count <= 9 }.compactMap { Int($0) }.sorted()
    } catch {
      throw HostFailure(trouble: error)
    }
  }

  private static let listScript = #"""
    for dir in "$base"/instances/*/; do
      [ ! -f "$dir/settings" ] || say "instance $(basename "$dir")"
    done
    finish
    """#

  /// While it follows, it ends when its stdin does: no reader is left behind on the host when nobody listens any more.
  private static let logScript = #"""
    load_instance "$number" || exit 3
    case $i_runtime in
      systemd) set -- journalctl -q -u "$unit" -o cat --no-pager -n "$lines" ;;
      *) set -- tail -n "$lines" ;;
    esac
    if [ "$follow" != 0 ]; then
      if [ "$1" = tail ]; then set -- "$@" -F; else set -- "$@" -f; fi
    fi
    [ "$1" != tail ] || set -- "$@" "$dir/log"
    [ "$follow" != 0 ] || exec "$@"
    exec 3<&0
    "$@" 3<&- &
    reader=$!
    { cat <&3; kill "$reader"; } >/dev/null 2>&1 &
    exec 3<&-
    wait "$reader"
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

  mutating func take(_ bytes: some Sequence<UInt8>) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    for byte in bytes {
      if byte == UInt8(ascii: "\n") || pending.count == Self.limit {
        lines.append(pending)
        pending.removeAll(keepingCapacity: true)
        if byte == UInt8(ascii: "\n") { continue }
      }
      pending.append(byte)
    }
    return lines
  }

  /// What came after the last line's end; nil for nothing.
  mutating func rest() -> [UInt8]? {
    guard !pending.isEmpty else { return nil }
    defer { pending = [] }
    return pending
  }
}
