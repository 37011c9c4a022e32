import Foundation
import SluiceManifest
import Testing

/// Texts that were broken at random, with a fixed seed: the reader must survive them, and what it says must hold.
@Suite struct FuzzTests {
  /// SplitMix64 (Steele, Lea, Flood 2014): the same numbers everywhere.
  private struct Random: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  private static let pieces: [Unicode.Scalar] = Array(
    "{}[]:,&*#?|-<>=!%@`'\"\\\t\n\r 0a~\u{0}\u{7}\u{85}\u{2028}\u{E000}\u{FEFF}é".unicodeScalars)

  @Test(arguments: 0..<8)
  func `Random damage never crashes the reader and every diagnostic has its place`(_ part: Int) throws {
    var random = Random(state: 0x51_0C_E0 &+ UInt64(part))
    var reported = 0
    let inputs = try Self.inputs()
    for round in 0..<150 {
      let text = Self.damaged(inputs[(part + round) % inputs.count], &random)
      let result = ManifestReader.read(sources: [ManifestSource(name: "x.yaml", text: text, baseDirectory: "/")])
      #expect((result.manifests == nil) == !result.errors.isEmpty)
      reported += result.diagnostics.count
      let lines = text.unicodeScalars.count { "\n\r\u{85}\u{2028}\u{2029}".unicodeScalars.contains($0) } + 1
      for diagnostic in result.diagnostics {
        #expect(diagnostic.line >= 0 && diagnostic.line <= lines && diagnostic.column >= 0 && diagnostic.length >= 1, "\(text)")
        let printed = diagnostic.rendered(color: false)
        #expect(printed.split(separator: "\n").count <= 4 && !printed.unicodeScalars.contains { $0.value < 32 && $0 != "\n" && $0 != "\t" })
      }
    }
    #expect(reported > 100)
  }

  @Test func `Damage around a secret never brings it into a diagnostic`() {
    var random = Random(state: 7)
    let secret = "hunter2"
    let lines = [
      "apiVersion: sluice/v1", "kind: Service", "metadata: { name: shop }", "spec:", "  fleet: prod", "  replicas: one", "  run:",
      "    command: [bin/shop]", "    env:", "      LOG: info", "      DB_PASSWORD: \(secret)", "      URL: \"http://a:\(secret)@b/\"",
      "      API_TOKEN: >-", "        \(secret)", "        \(secret)", "    secrets:", "      A: \(secret)",
      "      B: { value: \(secret) }",
      "  tier: x",
    ]
    var reported = 0
    for _ in 0..<1500 {
      var damaged = lines
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let open = damaged.indices.filter { !lines[$0].contains(secret) && !lines[$0].contains("secrets:") && !lines[$0].contains("TOKEN") }
        guard let index = open.randomElement(using: &random) else { break }
        damaged[index] = Self.damaged(damaged[index], &random).replacing("\n", with: " ")
      }
      let result = ManifestReader.read(sources: [
        ManifestSource(name: "x.yaml", text: damaged.joined(separator: "\n"), baseDirectory: "/")
      ])
      reported += result.diagnostics.count
      for diagnostic in result.diagnostics where diagnostic.rendered(color: false).contains(secret) {
        Issue.record("\(diagnostic.rendered(color: false))\n\(damaged.joined(separator: "\n"))")
        return
      }
    }
    #expect(reported > 1500)
  }

  private static func inputs() throws -> [String] {
    let names = [
      "full-example", "anchors-aliases-and-merge-keys", "duplicate-keys", "secrets-in-env", "tags-and-strange-keys", "not-ascii",
    ]
    return try names.map {
      try String(contentsOf: GoldenTests.folder.appendingPathComponent("\($0)/input.yaml"), encoding: .utf8)
    }
  }

  private static func damaged(_ text: String, _ random: inout Random) -> String {
    var scalars = Array(text.unicodeScalars)
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let at = Int.random(in: 0...scalars.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: scalars.insert(pieces.randomElement(using: &random) ?? "x", at: at)
      case 1 where at < scalars.count: scalars.remove(at: at)
      case 2 where at < scalars.count: scalars[at] = pieces.randomElement(using: &random) ?? "x"
      case 3:
        let end = min(at + Int.random(in: 1...30, using: &random), scalars.count)
        scalars.removeSubrange(at..<end)
      case 4:
        let end = min(at + Int.random(in: 1...60, using: &random), scalars.count)
        let copy = Array(scalars[at..<end])
        scalars.insert(contentsOf: copy, at: Int.random(in: 0...scalars.count, using: &random))
      default:
        let piece = pieces.randomElement(using: &random) ?? "x"
        scalars.insert(contentsOf: Array(repeating: piece, count: Int.random(in: 1...4, using: &random)), at: at)
      }
    }
    return String(String.UnicodeScalarView(scalars))
  }
}
