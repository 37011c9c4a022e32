import Foundation
import GRDB

/// What Sluice 0.1 left behind after two releases of `shop` with three instances behind the gateway `edge`: the files of hosts, units and state as
/// it wrote them (`Fixtures/sluice-0.1-*`), with the rig's addresses in the place of those it had. The programs are this version's.
///
/// A file of `Fixtures` has a line for each directory (`d`) and file: its kind, mode and path, and then its own lines after `|`. `n`: the last one
/// has no line end; `s`: a gateway's state, whose head, and copy of the record, are made anew.
struct FormerVersion {
  static let hosts = ["a1", "b1", "c1"]
  static let digests = [
    "v1": "f7a783287a3a0dc4f58905e0088cbf7240012397aae8835aca953811e1c2ccd4",
    "v2": "0248c00fe63ca85c4544d983f6c466d757aa17d056c5f8766bbaa04764be8094",
  ]
  static let gatewayUnit = "sluice-gateway-edge.service"

  private let site: Site
  private let words: [(String, String)]

  init(_ site: Site) throws {
    self.site = site
    let rig = site.rig
    words = try (Self.hosts + ["g1"]).map { ("@\($0)@", try rig.address(of: $0)) } + [("@rig@", Self.keys(rig))]
  }

  /// The folder of the rig's keys.
  private static func keys(_ rig: Rig) -> String {
    let line = rig.fleet.split(separator: "\n").first { $0.contains("identity: ") }
    let path = line?.components(separatedBy: "identity: ").last?.trimmingCharacters(in: .whitespaces) ?? ""
    return URL(fileURLWithPath: path).deletingLastPathComponent().path
  }

  private func fixture(_ name: String) throws -> String {
    let text = try String(contentsOfFile: "\(Place.top)/Tests/EndToEndTests/Fixtures/sluice-0.1-\(name)", encoding: .utf8)
    return words.reduce(text) { $0.replacing($1.0, with: $1.1) }
  }

  /// Everything is placed, and runs as 0.1 had started it: old units, and a gateway that is root's.
  func stand() async throws {
    for host in Self.hosts + ["g1"] {
      let top = "\(site.directory)/former-\(host)"
      try write(try fixture("\(host).txt"), below: top)
      if host == "g1" {
        let digest = try String(contentsOfFile: "\(top)/var/lib/sluice/gateway/edge/version", encoding: .utf8)
        try place(Place.program("sluice-gateway"), at: "\(top)/var/lib/sluice/gateway/edge/bin/\(digest.prefix(64))")
      } else {
        for digest in Self.digests.values {
          try place(Place.program("sluice-sample"), at: "\(top)/var/lib/sluice/shop/releases/\(digest)/files/bin/sluice-sample")
        }
      }
      try await send(top, to: host)
      // 0.1 enabled its units; what 0.1 had of a gateway stays root's.
      let begin = "cd /etc/systemd/system; systemctl daemon-reload; for each in sluice-*.service; do systemctl enable --now $each; done"
      let begun = try await site.rig.run(on: host, "sh", "-c", begin)
      guard begun.status == 0 else { throw ProgramError("\(host): \(begun.all)") }
    }
    let address = "http://\(try site.rig.address(of: "g1")):80/"
    try await Program.until("the old gateway finds its targets") {
      let answer = try await Program.run(
        ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--header", "Host: shop.example.com", address])
      return answer.out == "200"
    }
  }

  /// The database of the machine that released, in `state`.
  func database() throws {
    let folder = "\(site.directory)/state"
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    let sql = try fixture("state.sql")
    let database = try DatabaseQueue(path: "\(folder)/rig.sqlite")
    try database.writeWithoutTransaction { try $0.execute(sql: sql) }
    try database.close()
  }

  private func send(_ folder: String, to host: String) async throws {
    let packed = try await Program.run(["tar", "-C", folder, "-cf", "\(folder).tar", "."])
    guard packed.status == 0 else { throw ProgramError("tar: \(packed.all)") }
    let keys = Self.keys(site.rig)
    let sent = try await Program.run([
      "scp", "-q", "-F", "none", "-i", "\(keys)/id_ed25519", "-o", "UserKnownHostsFile=\(keys)/known_hosts", "-o", "BatchMode=yes",
      "\(folder).tar", "root@\(try site.rig.address(of: host)):/root/former.tar",
    ])
    guard sent.status == 0 else { throw ProgramError("scp: \(sent.all)") }
    let placed = try await site.rig.run(on: host, "tar", "-C", "/", "--no-overwrite-dir", "-xpf", "/root/former.tar")
    guard placed.status == 0 else { throw ProgramError("\(host): tar: \(placed.all)") }
  }

  private func place(_ program: String, at path: String) throws {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: program, toPath: path)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
  }

  // MARK: Reading a fixture

  private func write(_ text: String, below top: String) throws {
    var modes: [(path: String, mode: Int)] = []
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
    while let line = lines.popFirst() {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count == 3, let mode = Int(words[1], radix: 8) else { continue }
      let path = top + words[2]
      modes.append((path, mode))
      if words[0] == "d" {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        continue
      }
      var content: [Substring] = []
      while let next = lines.first, next.hasPrefix("|") {
        content.append(next.dropFirst())
        lines.removeFirst()
      }
      var file = content.joined(separator: "\n")
      if words[0] == "s" { file = try Self.state(file) } else if words[0] == "f", !content.isEmpty { file += "\n" }
      let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try file.write(toFile: path, atomically: true, encoding: .utf8)
    }
    // Directories that nobody may write to come last.
    for (path, mode) in modes.reversed() { try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path) }
  }

  /// With its copy of the record in base 64, and with length and CRC-32 in its head.
  private static func state(_ text: String) throws -> String {
    var state = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] ?? [:]
    var record = state["record"] as? [String: Any] ?? [:]
    record["content"] = Data((record["content"] as? String ?? "").utf8).base64EncodedString()
    state["record"] = record
    let body = try JSONSerialization.data(withJSONObject: state, options: [.sortedKeys, .withoutEscapingSlashes])
    let checksum = body.reduce(UInt32.max) { sum, octet in
      (0..<8).reduce(sum ^ UInt32(octet)) { bits, _ in (bits >> 1) ^ (bits & 1 == 1 ? 0xedb8_8320 : 0) }
    }
    let hexadecimal = String(~checksum, radix: 16)
    let padded = String(repeating: "0", count: 8 - hexadecimal.count) + hexadecimal
    return "sluice-gateway-state 1 \(padded) \(body.count)\n" + String(decoding: body, as: UTF8.self)
  }
}
