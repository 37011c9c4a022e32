import Foundation

extension Site {
  /// A second operator: a key of his own, that the hosts accept too; what either has signed is believed.
  func secondOperator(hosts: [String]) async throws {
    let made = try await Program.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "\(directory)/attic-key"])
    guard made.status == 0 else { throw ProgramError("ssh-keygen: \(made.all)") }
    let key = try String(contentsOfFile: "\(directory)/attic-key.pub", encoding: .utf8).trimmingCharacters(in: .newlines)
    for host in hosts {
      let added = try await rig.run(on: host, "sh", "-c", "f=/root/.ssh/authorized_keys; grep -qF '\(key)' $f || echo '\(key)' >>$f")
      guard added.status == 0 else { throw ProgramError("authorized_keys on \(host): \(added.all)") }
    }
    let named = rig.fleet.split(separator: "\n").first { $0.contains("identity: ") }
    guard let identity = named?.components(separatedBy: "identity: ").last?.trimmingCharacters(in: .whitespaces) else {
      throw ProgramError("the rig's fleet names no key")
    }
    try write("signers.pub", try String(contentsOfFile: identity + ".pub", encoding: .utf8) + key + "\n")
    try write("manifests/fleet.yaml", rig.fleet.replacing("\nspec:\n", with: "\nspec:\n  signers: [../signers.pub]\n", maxReplacements: 1))
  }

  /// The manifests as they are, for the second operator.
  func shareManifests() throws {
    let own = "\(directory)/manifests"
    let shared = "\(directory)/attic-manifests"
    try FileManager.default.createDirectory(atPath: shared, withIntermediateDirectories: true)
    for name in try FileManager.default.contentsOfDirectory(atPath: own) {
      let text = try String(contentsOfFile: "\(own)/\(name)", encoding: .utf8)
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
        guard let range = line.range(of: "identity: ") else { return String(line) }
        return line[..<range.upperBound] + "\(directory)/attic-key"
      }
      try write("attic-manifests/\(name)", lines.joined(separator: "\n"))
    }
  }

  /// One command of one of the two, to its end.
  func operate(_ words: [String], second: Bool) async throws -> Program.Output {
    let words = words + ["-f", second ? "attic-manifests" : "manifests", "--yes"]
    return try await start(words, state: second ? "other" : "state", laptop: second ? "attic" : nil).wait(.seconds(120))
  }
}
