import NIOCore
import SluiceGatewayAPI
import SluiceTraffic

/// Finds the service of a request by host and path, on one event loop. Built anew when a table changes; never changed.
struct Router {
  /// What a request asks for.
  struct Found {
    var service: LoopService
    /// It asks for the preview's host.
    var isPreview: Bool
  }

  private struct Entry {
    /// In lower case; empty: every host.
    var host: [UInt8]
    /// Without a slash at its end: "/" is empty.
    var path: [UInt8]
    var found: Found
  }

  private var byHost: [UInt64: [Entry]] = [:]
  /// Of hosts that are IPv6 addresses: one address has many spellings.
  private var byAddress: [IPv6Address: [Entry]] = [:]
  private var anyHost: [Entry] = []

  /// A host that a table names wins over tables for every host; then the longest path, then the service's name.
  init(_ services: [LoopService]) {
    for service in services.sorted(by: { $0.name < $1.name }) {
      guard let table = service.table else { continue }
      var path = Array(table.path.utf8)
      while path.last == 47 { path.removeLast() }
      let users = Found(service: service, isPreview: false)
      // What it asks for and another has goes there.
      func has(_ host: String) -> Bool { service.lost.isEmpty || !service.lost.contains(RouteKey(host: host, path: table.path)) }
      if table.hosts.isEmpty, has("") { anyHost.append(Entry(host: [], path: path, found: users)) }
      let hosts = table.hosts.map { ($0, users) }
      let previews = (table.preview?.hosts ?? []).map { ($0, Found(service: service, isPreview: true)) }
      for (host, found) in hosts + previews where has(host) {
        let host = RouteKey.host(host)
        let entry = Entry(host: Array(host.utf8), path: path, found: found)
        if let address = IPv6Address(host) {
          byAddress[address, default: []].append(entry)
        } else {
          let hash = entry.host.withUnsafeBytes { Self.hash($0, 0, entry.host.count) }
          byHost[hash, default: []].append(entry)
        }
      }
    }
    anyHost = Self.sorted(anyHost)
    byHost = byHost.mapValues(Self.sorted)
    byAddress = byAddress.mapValues(Self.sorted)
  }

  private static func sorted(_ entries: [Entry]) -> [Entry] {
    entries.enumerated().sorted { ($1.element.path.count, $0.offset) < ($0.element.path.count, $1.offset) }.map(\.element)
  }

  /// FNV-1a over letters in lower case.
  @inline(__always)
  private static func hash(_ octets: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for index in start..<end { hash = (hash ^ UInt64(Octet.lower(octets[index]))) &* 0x100_0000_01b3 }
    return hash
  }

  /// The service for the host (with or without port) and request target at these places of a head.
  @inline(__always)
  func find(_ octets: UnsafeRawBufferPointer, host: Span, target: Span) -> Found? {
    if !byHost.isEmpty, let found = findByHost(octets, host: host, target: target) { return found }
    if !byAddress.isEmpty, let found = findByAddress(octets, host: host, target: target) { return found }
    for entry in anyHost where Self.matches(entry.path, octets, target) { return entry.found }
    return nil
  }

  private func findByHost(_ octets: UnsafeRawBufferPointer, host: Span, target: Span) -> Found? {
    let end = Self.nameEnd(octets, host)
    guard let entries = byHost[Self.hash(octets, host.start, end)] else { return nil }
    for entry in entries where entry.host.count == end - host.start {
      let same = entry.host.indices.allSatisfy { entry.host[$0] == Octet.lower(octets[host.start + $0]) }
      if same, Self.matches(entry.path, octets, target) { return entry.found }
    }
    return nil
  }

  /// A host in brackets (RFC 3986 section 3.2.2), with or without port.
  private func findByAddress(_ octets: UnsafeRawBufferPointer, host: Span, target: Span) -> Found? {
    guard host.start < host.end, octets[host.start] == UInt8(ascii: "[") else { return nil }
    var end = host.start + 1
    while end < host.end, octets[end] != UInt8(ascii: "]") { end += 1 }
    guard end < host.end, let address = IPv6Address(octets.part(Span(start: host.start + 1, end: end))) else { return nil }
    return byAddress[address]?.first { Self.matches($0.path, octets, target) }?.found
  }

  /// Where the name ends: before the port, and before a dot that only says "from the root".
  private static func nameEnd(_ octets: UnsafeRawBufferPointer, _ host: Span) -> Int {
    var end = host.end
    var at = host.end
    while at > host.start, octets[at - 1] >= 48, octets[at - 1] <= 57 { at -= 1 }
    if at > host.start, octets[at - 1] == Octet.colon { end = at - 1 }
    if end > host.start, octets[end - 1] == 46 { end -= 1 }
    return end
  }

  /// Whether the path begins with the prefix, at a segment's end.
  @inline(__always)
  private static func matches(_ prefix: [UInt8], _ octets: UnsafeRawBufferPointer, _ target: Span) -> Bool {
    let count = prefix.count
    if count == 0 { return true }
    guard target.end - target.start >= count else { return false }
    for index in 0..<count where prefix[index] != octets[target.start + index] { return false }
    if target.end - target.start == count { return true }
    let next = octets[target.start + count]
    return next == 47 || next == 63
  }
}
