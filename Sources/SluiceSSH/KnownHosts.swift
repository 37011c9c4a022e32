internal import Crypto

/// What known_hosts files say, in the order they were read. Lines that are not entries are skipped, as OpenSSH does.
package struct KnownHosts: Sendable {
  package struct Entry: Sendable, Hashable {
    package enum Marker: Sendable, Hashable { case none, revoked, certificateAuthority }

    package var marker: Marker
    /// Comma-separated patterns, or one hashed name.
    package var hosts: String
    package var key: SSHHostKey
    package var file: String
    /// Counted from 1.
    package var line: Int

    package init(marker: Marker, hosts: String, key: SSHHostKey, file: String, line: Int) {
      self.marker = marker
      self.hosts = hosts
      self.key = key
      self.file = file
      self.line = line
    }
  }

  /// What the files say about one host and the key it showed.
  package enum Verdict: Sendable, Hashable {
    case trusted(Entry)
    case unknown
    /// Entries that name the host and hold other keys.
    case changed([Entry])
    case revoked(Entry)
  }

  package private(set) var entries: [Entry] = []
  /// Where entries are whose hosts are written out, by name in lower case; large files are looked up, not read through.
  private var named: [String: [Int]] = [:]
  /// Where the others are: patterns, negations, hashed names.
  private var patterns: [Int] = []

  package init() {}

  /// Adds the entries of one file's content.
  package mutating func parse(_ content: some Sequence<UInt8>, file: String) {
    let bytes = Array(content)
    for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      if let entry = Self.entry(line, file: file, line: index + 1) { add(entry) }
    }
  }

  private mutating func add(_ entry: Entry) {
    entries.append(entry)
    let place = entries.count - 1
    guard let names = entry.plainNames else { return patterns.append(place) }
    for name in Set(names) { named[name, default: []].append(place) }
  }

  /// The entries that are about a host, in file order.
  private func about(_ name: String) -> [Entry] {
    let written = named[name.lowercased()] ?? []
    return (written + patterns.filter { entries[$0].matches(name) }).sorted().map { entries[$0] }
  }

  private static func entry(_ bytes: ArraySlice<UInt8>, file: String, line: Int) -> Entry? {
    let separators: Set<UInt8> = [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")]
    var fields = bytes.split(whereSeparator: separators.contains).prefix(5).map { String(decoding: $0, as: UTF8.self) }[...]
    guard let first = fields.first, !first.hasPrefix("#") else { return nil }
    var marker = Entry.Marker.none
    if first.hasPrefix("@") {
      switch first {
      case "@revoked": marker = .revoked
      case "@cert-authority": marker = .certificateAuthority
      default: return nil
      }
      fields.removeFirst()
    }
    guard fields.count >= 3, let blob = Base64.decode(fields[fields.startIndex + 2]) else { return nil }
    let key = SSHHostKey(blob: blob)
    guard key.type == fields[fields.startIndex + 1], !key.type.isEmpty else { return nil }
    return Entry(marker: marker, hosts: fields[fields.startIndex], key: key, file: file, line: line)
  }

  /// The verdict on a key shown by a host that known_hosts names `name` (see `SSHEndpoint.knownHostsName`).
  ///
  /// As OpenSSH does, a host on another port is also trusted by an entry without a port, if that holds the very key.
  /// A host that is known only by keys of other types counts as changed: its own type would have been asked for.
  package func verdict(on key: SSHHostKey, host name: String) -> Verdict {
    let own = about(name).filter { $0.marker != .certificateAuthority }
    let bare = Self.withoutPort(name).map { bare in about(bare).filter { $0.marker != .certificateAuthority } } ?? []
    if let revoked = (own + bare).first(where: { $0.marker == .revoked && $0.key == key }) { return .revoked(revoked) }
    if let match = (own + bare).first(where: { $0.marker == .none && $0.key == key }) { return .trusted(match) }
    let others = own.filter { $0.marker == .none }
    return others.isEmpty ? .unknown : .changed(others)
  }

  /// Key types known for the host, in file order: to be offered first, or a good host would look changed.
  package func keyTypes(host name: String) -> [String] {
    var types: [String] = []
    let bare = Self.withoutPort(name)
    for pass in [name, bare].compactMap({ $0 }) {
      for entry in about(pass) where entry.marker == .none && !types.contains(entry.key.type) {
        types.append(entry.key.type)
      }
      if !types.isEmpty { break }
    }
    return types
  }

  private static func withoutPort(_ name: String) -> String? {
    guard name.hasPrefix("["), let end = name.lastIndex(of: "]") else { return nil }
    return String(name[name.index(after: name.startIndex)..<end])
  }
}

extension KnownHosts.Entry {
  /// Its hosts in lower case where each is written out; nil where one is a pattern, negated or hashed.
  var plainNames: [String]? {
    guard !hosts.utf8.contains(where: { [UInt8(ascii: "*"), UInt8(ascii: "?"), UInt8(ascii: "!"), UInt8(ascii: "|")].contains($0) }) else {
      return nil
    }
    return hosts.split(separator: ",").map { $0.lowercased() }
  }

  /// Whether the entry is about this host.
  package func matches(_ name: String) -> Bool {
    if hosts.hasPrefix("|") { return Self.hashed(hosts, matches: name) }
    var found = false
    for pattern in hosts.split(separator: ",") {
      let isNegated = pattern.hasPrefix("!")
      guard Self.wildcard(Array((isNegated ? pattern.dropFirst() : pattern).utf8), matches: Array(name.utf8)) else { continue }
      if isNegated { return false }
      found = true
    }
    return found
  }

  /// `|1|salt|hash`: HMAC-SHA1 of the name under the salt.
  private static func hashed(_ text: String, matches name: String) -> Bool {
    let parts = text.split(separator: "|", omittingEmptySubsequences: false)
    guard parts.count == 4, parts[1] == "1", let salt = Base64.decode(parts[2]), let hash = Base64.decode(parts[3]) else { return false }
    return hash == Array(HMAC<Insecure.SHA1>.authenticationCode(for: Array(name.utf8), using: SymmetricKey(data: salt)))
  }

  /// The host field for `name`, with its name hashed under a fresh random salt.
  static func hashedHosts(_ name: String) -> String {
    var generator = SystemRandomNumberGenerator()
    let salt = (0..<20).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let hash = Array(HMAC<Insecure.SHA1>.authenticationCode(for: Array(name.utf8), using: SymmetricKey(data: salt)))
    return "|1|\(Base64.encode(salt))|\(Base64.encode(hash))"
  }

  /// `*` and `?` match as in sshd(8); letters without regard to case. Linear in time but for the product of the two lengths.
  static func wildcard(_ pattern: [UInt8], matches name: [UInt8]) -> Bool {
    var patternIndex = 0, nameIndex = 0
    var star: (pattern: Int, name: Int)?
    while nameIndex < name.count {
      if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") {
        star = (patternIndex, nameIndex)
        patternIndex += 1
      } else if patternIndex < pattern.count,
        pattern[patternIndex] == UInt8(ascii: "?") || lower(pattern[patternIndex]) == lower(name[nameIndex])
      {
        patternIndex += 1
        nameIndex += 1
      } else if let last = star {
        star = (last.pattern, last.name + 1)
        patternIndex = last.pattern + 1
        nameIndex = last.name + 1
      } else {
        return false
      }
    }
    return pattern[patternIndex...].allSatisfy { $0 == UInt8(ascii: "*") }
  }

  private static func lower(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte + 32 : byte }
}
