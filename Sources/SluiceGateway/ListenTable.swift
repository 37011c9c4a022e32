import Glibc

/// The sockets that listen on this machine, of whoever: read from `/proc/self/net`, which a sandbox that hides other processes still shows.
struct ListenTable {
  /// An address in the form of its family: four octets or sixteen.
  struct Place: Hashable {
    var address: [UInt8]
    var port: Int

    var isWild: Bool { address.allSatisfy { $0 == 0 } }
    /// The IPv4 address that an IPv6 socket holds, as `::ffff:10.0.0.1`.
    var mapped: [UInt8]? {
      address.count == 16 && address.prefix(10).allSatisfy { $0 == 0 } && address[10] == 255 && address[11] == 255
        ? Array(address.suffix(4)) : nil
    }

    /// As people write it.
    var text: String {
      var text = [CChar](repeating: 0, count: 64)
      _ = address.withUnsafeBytes { inet_ntop(address.count == 4 ? AF_INET : AF_INET6, $0.baseAddress!, &text, socklen_t(text.count)) }
      return authorityText(address: String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), port: port)
    }

    /// Whether connections to this place, where we listen, may reach a socket that listens at the other.
    ///
    /// An IPv6 socket for all addresses is no such for an IPv4 place: the kernel prefers a socket of the connection's own family, and many
    /// such sockets take IPv6 alone, which the table does not tell. `isSixOnly`: ours takes IPv6 alone.
    func isShared(with other: Place, isSixOnly: Bool = false) -> Bool {
      guard port == other.port else { return false }
      if address.count == 4 {
        guard other.address.count == 16 else { return isWild || other.isWild || address == other.address }
        return other.mapped.map { isWild || $0 == address } ?? false
      }
      if other.address.count == 4 || other.mapped != nil {
        let four = other.mapped ?? other.address
        return !isSixOnly && (isWild || mapped.map { $0 == four || other.isWild } ?? false)
      }
      return isWild || other.isWild || address == other.address
    }
  }

  struct Entry: Hashable {
    var place: Place
    var user: Int
    var inode: UInt64
  }

  private(set) var entries: [Entry] = []

  /// All that listen; nil where the system does not tell.
  static func read() -> ListenTable? {
    var table = ListenTable()
    guard let four = contents("/proc/self/net/tcp") else { return nil }
    table.add(four)
    // A machine without IPv6 has no such file.
    table.add(contents("/proc/self/net/tcp6") ?? [])
    return table
  }

  /// Adds the listening sockets of one file's text (proc(5)); they come before all others there.
  mutating func add(_ text: [UInt8]) {
    for line in text.split(separator: Octet.lineFeed).dropFirst() {
      guard let entry = Self.entry(line) else { return }
      entries.append(entry)
    }
  }

  /// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 4711 …`; nil: it does not listen.
  private static func entry(_ line: some Sequence<UInt8>) -> Entry? {
    let words = String(decoding: Array(line), as: UTF8.self).split(separator: " ")
    guard words.count > 9, words[3] == "0A", let user = Int(words[7]), let inode = UInt64(words[9]) else { return nil }
    let parts = words[1].split(separator: ":")
    guard parts.count == 2, let port = Int(parts[1], radix: 16), let address = octets(parts[0]) else { return nil }
    return Entry(place: Place(address: address, port: port), user: user, inode: inode)
  }

  /// Words of 32 bits, each as this machine holds it.
  private static func octets(_ text: Substring) -> [UInt8]? {
    guard text.utf8.count == 8 || text.utf8.count == 32 else { return nil }
    var address: [UInt8] = []
    var rest = text
    while !rest.isEmpty {
      guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
      withUnsafeBytes(of: word) { address.append(contentsOf: $0) }
      rest = rest.dropFirst(8)
    }
    return address
  }

  /// A file's text as far as sockets listen: of what is connected there may be a hundred thousand lines, which nobody wants to read.
  private static func contents(_ path: String) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var octets: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 16_384)
    while true {
      let count = Glibc.read(file, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return octets }
      let before = octets.count
      octets.append(contentsOf: piece[..<count])
      if holdsConnected(octets[before...]) { return octets }
    }
  }

  /// Whether a whole line tells of a socket that does not listen.
  private static func holdsConnected(_ text: ArraySlice<UInt8>) -> Bool {
    text.split(separator: Octet.lineFeed).dropFirst().dropLast().contains { line in
      let words = line.split(separator: Octet.space)
      return words.count > 9 && words[0].last == Octet.colon && !words[3].elementsEqual("0A".utf8)
    }
  }
}

/// Who holds a socket, as far as this process may see.
enum SocketHolder {
  /// `haproxy (pid 123, user haproxy)`, or `a program of user haproxy (it may not be looked at from here)`.
  static func text(of entry: ListenTable.Entry) -> String {
    let user = "user \(userName(entry.user))"
    guard let pid = pid(of: entry.inode) else { return "a program of \(user)" }
    return "\(program(pid)) (pid \(pid), \(user))"
  }

  private static func pid(of inode: UInt64) -> Int? {
    let wanted = Array("socket:[\(inode)]".utf8)
    for process in names(in: "/proc") {
      guard let pid = Int(process) else { continue }
      for descriptor in names(in: "/proc/\(process)/fd") where link("/proc/\(process)/fd/\(descriptor)") == wanted { return pid }
    }
    return nil
  }

  private static func program(_ pid: Int) -> String {
    let name = plainText(file("/proc/\(pid)/comm").prefix { $0 != Octet.lineFeed })
    return name.isEmpty ? "a program" : name
  }

  /// The C library's lookup would load modules, which a static executable cannot.
  private static func userName(_ number: Int) -> String {
    for line in file("/etc/passwd").split(separator: Octet.lineFeed) {
      let parts = line.split(separator: Octet.colon, omittingEmptySubsequences: false)
      if parts.count > 2, parts[2].elementsEqual("\(number)".utf8) { return plainText(parts[0]) }
    }
    return "\(number)"
  }

  private static func names(in path: String) -> [String] {
    guard let entries = opendir(path) else { return [] }
    defer { closedir(entries) }
    var names: [String] = []
    while let entry = readdir(entries) {
      names.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return names.filter { $0 != "." && $0 != ".." }
  }

  private static func link(_ path: String) -> [UInt8]? {
    var text = [UInt8](repeating: 0, count: 64)
    let count = text.withUnsafeMutableBytes { readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count) }
    return count > 0 ? Array(text[..<count]) : nil
  }

  private static func file(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var octets: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 16_384)
    while octets.count < 1_048_576 {
      let count = Glibc.read(file, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      octets.append(contentsOf: piece[..<count])
    }
    return octets
  }
}
