import Glibc
import NIOCore
import NIOPosix
import SluiceGatewayAPI

/// Sees to it that nobody else has the gateway's ports before it listens (DESIGN section 6, "Whose port").
///
/// The gateway's own listeners share a port among its event loops by SO_REUSEPORT, and with it any program of the same user could join in silence.
/// So each address is bound once without: the kernel refuses that when anybody listens there, or at all addresses, or at one of ours.
/// Connections that a former gateway has left in TIME_WAIT are nobody (SO_REUSEADDR).
enum PortGuard {
  /// Throws `GatewayProcess.StartFailure` for the first address that cannot be had, and says why and who has it.
  static func check(_ configuration: GatewayConfiguration) throws {
    for address in configuration.listen + (configuration.health.map { [$0] } ?? []) where address.port != 0 {
      let wanted = try SocketAddress(ipAddress: address.address, port: address.port)
      guard let code = bindOnce(wanted), let problem = problem(code, wanted) else { continue }
      throw GatewayProcess.StartFailure(
        description: "cannot listen on \(authorityText(address: address.address, port: address.port)): \(problem)")
    }
  }

  /// Binds and lets go; the error's number when it cannot be.
  private static func bindOnce(_ address: SocketAddress) -> Int32? {
    let family = address.protocol == .inet6 ? AF_INET6 : AF_INET
    let made = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    // Whatever keeps a socket from being made is told by the listener itself.
    guard made >= 0 else { return nil }
    defer { close(made) }
    var yes: Int32 = 1
    setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    let result = address.withSockAddr { bind(made, $0, socklen_t($1)) }
    return result == 0 ? nil : errno
  }

  /// What keeps a listener of the gateway's from being made.
  static func failure(_ error: any Error, at address: GatewayConfiguration.Address) -> any Error {
    guard let failure = error as? IOError, let wanted = try? SocketAddress(ipAddress: address.address, port: address.port) else {
      return error
    }
    let leftovers =
      "nobody listens there, but connections of a former program are not over (TIME_WAIT): they are within a minute, so start it again then"
    let problem = Self.problem(failure.errnoCode, wanted) ?? leftovers
    return GatewayProcess.StartFailure(
      description: "cannot listen on \(authorityText(address: address.address, port: address.port)): \(problem)")
  }

  /// Nil: nobody listens there, and the listener finds out for itself.
  private static func problem(_ code: Int32, _ address: SocketAddress) -> String? {
    switch code {
    case EADDRINUSE:
      guard let place = ListenTable.Place(address) else { return nil }
      guard let table = ListenTable.read() else { return "it is taken, and /proc does not tell by whom" }
      let holders = table.entries.filter { place.conflicts(with: $0.place) }
      // Nobody listens: what a former program without SO_REUSEADDR has left in TIME_WAIT.
      guard let first = holders.first else { return nil }
      let each = Set(holders.map { "\(SocketHolder.text(of: $0)) listens on \($0.place.text)" }).sorted()
      return "\(each.joined(separator: "; ")). Two programs on one port share its requests: stop the other, or listen on another port than "
        + "\(first.place.port)"
    case EACCES:
      return "this user may not bind ports below 1024. Give the gateway the capability CAP_NET_BIND_SERVICE, or another port"
    case EADDRNOTAVAIL: return "no interface of this machine has that address"
    default: return String(cString: strerror(code))
    }
  }
}

extension ListenTable.Place {
  init?(_ address: SocketAddress?) {
    guard let address, let port = address.port else { return nil }
    let (offset, count) = address.protocol == .inet6 ? (8, 16) : (4, 4)
    self.init(
      address: address.withSockAddr { pointer, size in
        Array(UnsafeRawBufferPointer(start: pointer, count: size)[offset..<(offset + count)])
      }, port: port)
  }

  /// Whether a socket at the other place may be what a bind here was refused for.
  func conflicts(with other: ListenTable.Place) -> Bool {
    isShared(with: other) || other.isShared(with: self)
  }
}

/// Notices who joins the gateway's ports later: a listener there that is none of its own. Touched on the control loop only, but for what is static.
struct PortWatch {
  /// A place where the gateway listens.
  struct Own: Sendable {
    var place: ListenTable.Place
    var inode: UInt64
    var isSixOnly: Bool
  }

  /// Between two looks, in seconds.
  static let seconds = 2

  private let own: [Own]
  private var due = 0
  private(set) var strangers: [ListenTable.Entry: String] = [:]

  init(_ own: [Own] = []) { self.own = own }

  /// For people; nil: there is no stranger.
  var warnings: [String]? { strangers.isEmpty ? nil : strangers.values.sorted() }

  /// Looks, when a look is due by a count of seconds; gives what there is to log.
  mutating func look() -> [String] {
    due += 1
    guard !own.isEmpty, due % Self.seconds == 0 else { return [] }
    return ListenTable.read().map { follow($0.entries) } ?? []
  }

  /// Takes who listens now.
  mutating func follow(_ entries: [ListenTable.Entry]) -> [String] {
    let inodes = Set(own.map(\.inode))
    let found = entries.filter { entry in
      !inodes.contains(entry.inode) && own.contains { $0.place.isShared(with: entry.place, isSixOnly: $0.isSixOnly) }
    }
    var lines: [String] = []
    for entry in found where strangers[entry] == nil {
      let words =
        "\(SocketHolder.text(of: entry)) listens on \(entry.place.text) beside this gateway and may take a share of its requests. "
        + "Stop it, or give one of them another port"
      strangers[entry] = words
      lines.append("WARNING: \(words)")
    }
    for (entry, _) in strangers where !found.contains(entry) {
      strangers[entry] = nil
      lines.append("nobody else listens on \(entry.place.text) any more")
    }
    return lines
  }

  /// Where a listening channel is. Blocks; not for its event loop.
  static func place(of channel: any Channel) throws -> Own? {
    guard let place = ListenTable.Place(channel.localAddress) else { return nil }
    return try channel.eventLoop.submit {
      try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
        var told = stat()
        var sixOnly: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard fstat(socket, &told) == 0 else { return nil }
        if place.address.count == 16 { getsockopt(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &sixOnly, &size) }
        return Own(place: place, inode: UInt64(told.st_ino), isSixOnly: sixOnly != 0)
      } ?? nil
    }.wait()
  }
}
