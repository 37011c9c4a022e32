import Foundation
import Testing

@testable import SluiceSSH

@Suite("known_hosts")
struct KnownHostsTests {
  private static let first = SSHHostKey(blob: blob("ssh-ed25519", 1))
  private static let second = SSHHostKey(blob: blob("ssh-ed25519", 2))
  private static let curve = SSHHostKey(blob: blob("ecdsa-sha2-nistp256", 3))

  private static func blob(_ type: String, _ fill: UInt8) -> [UInt8] {
    [0, 0, 0, UInt8(type.utf8.count)] + Array(type.utf8) + [0, 0, 0, 4, fill, fill, fill, fill]
  }

  private func parsed(_ text: String) -> KnownHosts {
    var known = KnownHosts()
    known.parse(text.utf8, file: "kh")
    return known
  }

  private func isTrusted(_ text: String, _ name: String, _ key: SSHHostKey = first) -> Bool {
    if case .trusted = parsed(text).verdict(on: key, host: name) { true } else { false }
  }

  @Test(
    "Patterns match as sshd(8) says",
    arguments: [
      ("a", "a", true), ("a,b", "b", true), ("A.Example.com", "a.example.com", true), ("*.example.com", "x.example.com", true),
      ("*.example.com", "example.com", false), ("h?st", "host", true), ("h?st", "hst", false), ("*,!bad", "good", true),
      ("*,!bad", "bad", false),
      ("!bad,*", "bad", false), ("!bad", "good", false), ("[a]:2222", "[a]:2222", true), ("[a]:2222", "[a]:22", false),
      ("[a]:2222", "a", false),
      ("2001:db8::1", "2001:db8::1", true), ("a**b", "axxb", true), ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaac", false), ("", "a", false),
    ])
  func patterns(pattern: String, name: String, matches: Bool) {
    #expect(isTrusted("\(pattern) \(Self.first.line) comment here", name) == matches)
  }

  @Test("A file is read once for as long as it stays as it is, and again when it has changed")
  func cached() async throws {
    let file = NSTemporaryDirectory() + "sluice-known-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: file) }
    func write(_ key: SSHHostKey, at seconds: TimeInterval) throws {
      try "a \(key.line)\n".write(toFile: file, atomically: false, encoding: .utf8)
      try FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: seconds)], ofItemAtPath: file)
    }
    func isKnown(_ key: SSHHostKey) async throws -> Bool {
      if case .trusted = try await KnownHostsFile.load([file], host: "a").verdict(on: key, host: "a") { true } else { false }
    }
    try write(Self.first, at: 1_700_000_000)
    #expect(try await isKnown(Self.first))
    // As long and as old as before: only one who reads it again would see it.
    try write(Self.second, at: 1_700_000_000)
    #expect(try await isKnown(Self.first))
    try write(Self.second, at: 1_700_000_001)
    #expect(try await isKnown(Self.second))
    #expect(try await !isKnown(Self.first))
    try FileManager.default.removeItem(atPath: file)
    #expect(try await !isKnown(Self.second))
  }

  @Test("Written-out names, patterns, negations and hashed names keep the file's order")
  func order() {
    let known = parsed(
      "*.x \(Self.curve.line)\na.x \(Self.first.line)\n\(KnownHosts.Entry.hashedHosts("a.x")) \(Self.second.line)\nA.X,b \(Self.first.line)"
    )
    #expect(known.keyTypes(host: "a.x") == ["ecdsa-sha2-nistp256", "ssh-ed25519"])
    guard case .trusted(let entry) = known.verdict(on: Self.first, host: "a.x") else { return #expect(Bool(false), "trusted") }
    #expect(entry.line == 2)
    guard case .changed(let entries) = parsed("a,b \(Self.first.line)\n!a,* \(Self.second.line)").verdict(on: Self.curve, host: "a") else {
      return #expect(Bool(false), "changed")
    }
    #expect(entries.map(\.line) == [1])
  }

  @Test("A host on another port is trusted by an entry without port only if the very key is there")
  func otherPort() {
    let known = parsed("a \(Self.first.line)")
    #expect(isTrusted("a \(Self.first.line)", "[a]:2222"))
    #expect(known.verdict(on: Self.second, host: "[a]:2222") == .unknown)
    #expect(known.keyTypes(host: "[a]:2222") == ["ssh-ed25519"])
  }

  @Test("Hashed names as ssh-keygen -H writes them are found, and ours are its like")
  func hashed() throws {
    let line = """
      |1|ILbdPQ4N0y8MSxHv2G1IDqTmVgE=|37sWgOtYwRchnwGgWZt3wbl7iD4= ssh-ed25519 \
      AAAAC3NzaC1lZDI1NTE5AAAAIFjF6ptUTXjRja1HOMU/KdaymfY4yFmlDwsKTcQ2Hm9n
      """
    let key = SSHHostKey(blob: try #require(Base64.decode("AAAAC3NzaC1lZDI1NTE5AAAAIFjF6ptUTXjRja1HOMU/KdaymfY4yFmlDwsKTcQ2Hm9n")))
    #expect(isTrusted(line, "host.example", key))
    #expect(!isTrusted(line, "host.exampl", key))
    #expect(!isTrusted(line, "[host.example]:22", Self.first))
    let own = KnownHosts.Entry.hashedHosts("host.example")
    #expect(isTrusted("\(own) \(Self.first.line)", "host.example"))
    #expect(!isTrusted("\(own) \(Self.first.line)", "host.exampl"))
    #expect(KnownHosts.Entry.hashedHosts("host.example") != own)
  }

  @Test("A changed key names file and line of every entry; another type only counts as changed too")
  func changed() {
    let known = parsed("# c\n\nx \(Self.second.line)\na \(Self.second.line)\nb,a \(Self.curve.line)\n")
    guard case .changed(let entries) = known.verdict(on: Self.first, host: "a") else {
      Issue.record("not changed")
      return
    }
    #expect(entries.map(\.line) == [4, 5])
    #expect(known.keyTypes(host: "a") == ["ssh-ed25519", "ecdsa-sha2-nistp256"])
    guard case .changed = parsed("a \(Self.curve.line)").verdict(on: Self.first, host: "a") else {
      Issue.record("a key of another type passed")
      return
    }
  }

  @Test("Revoked beats trusted, whichever comes first; certificate authorities are no host keys")
  func markers() {
    for text in ["a \(Self.first.line)\n@revoked * \(Self.first.line)", "@revoked a \(Self.first.line)\na \(Self.first.line)"] {
      guard case .revoked = parsed(text).verdict(on: Self.first, host: "a") else {
        Issue.record("not revoked: \(text)")
        return
      }
    }
    #expect(parsed("@cert-authority * \(Self.first.line)").verdict(on: Self.first, host: "a") == .unknown)
    #expect(parsed("@revoked a \(Self.second.line)").verdict(on: Self.first, host: "a") == .unknown)
    #expect(parsed("@what a \(Self.first.line)").entries.isEmpty)
  }

  @Test(
    "Lines that are no entries are skipped",
    arguments: [
      "a", "a ssh-ed25519", "a ssh-ed25519 %%%%", "a ssh-rsa \(first.line.split(separator: " ")[1])", "a ssh-ed25519 AAAA",
      "|1|x|y", "|2|a|b \(first.line)", "@revoked", "\u{0}\u{0}", "a ssh-ed25519 \(String(repeating: "A", count: 7))",
    ])
  func oddLines(line: String) {
    #expect(parsed("\(line)\na \(Self.first.line)").entries.filter { $0.matches("a") }.count == 1)
  }

  @Test("Line ends, tabs and leading blanks of other systems are taken")
  func blanks() {
    #expect(isTrusted("  a\tssh-ed25519   \(Base64.encode(Self.first.blob)) me@x\r\n", "a"))
    #expect(isTrusted("a \(Self.first.line)", "a"))
  }

  @Test("Random bytes and damaged files never crash the parser, nor trust a key")
  func fuzz() {
    var generator = SplitMix(state: 42)
    let good = Array("a,b* \(Self.second.line)\n|1|AAAA|AAAA \(Self.curve.line)\n@revoked x \(Self.second.line)\n".utf8)
    for round in 0..<3000 {
      var bytes = good
      if round.isMultiple(of: 2) {
        bytes = (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
      }
      for _ in 0..<Int.random(in: 0...6, using: &generator) where !bytes.isEmpty {
        let at = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0...2, using: &generator) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.removeSubrange(at..<min(bytes.count, at + Int.random(in: 1...20, using: &generator)))
        default: bytes.insert(contentsOf: bytes.prefix(Int.random(in: 0...30, using: &generator)), at: at)
        }
      }
      var known = KnownHosts()
      known.parse(bytes, file: "f")
      if case .trusted = known.verdict(on: Self.first, host: "a") { Issue.record("round \(round) trusted a key that is not there") }
      _ = known.keyTypes(host: "[a]:22")
      _ = SSHKeyFile(path: "f", content: bytes)
      _ = SSHWire.firstString(of: bytes)
      _ = SSHConfig.parse(String(decoding: bytes, as: UTF8.self), host: "a")
    }
  }

  @Test("Adding is idempotent, ends an unfinished line first and survives many writers at once")
  func adding() async throws {
    let path = NSTemporaryDirectory() + "sluice-known-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try "x \(Self.curve.line)".write(toFile: path, atomically: true, encoding: .utf8)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<40 {
        group.addTask { try await KnownHostsFile.add([Self.first], name: "host\(number % 20)", to: path, hashed: false) }
      }
      try await group.waitForAll()
    }
    let known = try await KnownHostsFile.load([path, path + ".missing"], host: "h")
    #expect(known.entries.count == 21)
    for number in 0..<20 {
      guard case .trusted = known.verdict(on: Self.first, host: "host\(number)") else {
        Issue.record("host\(number) was lost")
        return
      }
    }
    try await KnownHostsFile.remove(name: "host3", from: path)
    #expect(try await KnownHostsFile.load([path], host: "h").verdict(on: Self.first, host: "host3") == .unknown)
    #expect(try await KnownHostsFile.load([path], host: "h").entries.count == 20)
  }

  @Test("Base64 gives back what went in, and takes nothing else")
  func base64() {
    for count in 0..<40 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
      #expect(Base64.encode(bytes) == Data(bytes).base64EncodedString())
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
    for bad in ["A", "AA", "AAA", "A===", "AA=A", "=AAA", "AAAA====", "AA A", "AA\nA", "ÄÄ"] {
      #expect(Base64.decode(bad) == nil, "\(bad)")
    }
  }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}
