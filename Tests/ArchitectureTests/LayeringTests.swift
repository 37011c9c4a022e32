import Foundation
import Testing

/// DESIGN section 2: arrows only downwards. SwiftPM lets a transitive import compile; this does not.
@Suite struct LayeringTests {
  /// What each target may import, besides the standard library.
  static let allowed: [String: Set<String>] = [
    "SluiceModel": [],
    // Traffic: the one checker of a route that manifest and gateway share.
    "SluiceManifest": ["SluiceModel", "SluiceTraffic", "Yams", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Darwin"],
    "SluiceTraffic": ["SluiceModel"],
    "SluiceGatewayAPI": ["SluiceModel", "SluiceTraffic"],
    "SluiceRollout": ["SluiceModel", "SluiceTraffic"],
    "SluiceEngine": ["SluiceModel", "SluiceRollout"],
    "CLibSSH2": [],
    "CSluiceSystem": [],
    "SluiceSSH": ["CLibSSH2", "Crypto", "NIOCore", "NIOPosix", "Glibc", "Synchronization"],
    "SluiceHosts": [
      "SluiceModel", "SluiceRollout", "SluiceEngine", "SluiceSSH", "Crypto", "NIOCore", "NIOPosix", "Glibc", "Synchronization",
    ],
    "SluiceLocal": ["SluiceModel", "SluiceRollout", "SluiceEngine", "Crypto", "Subprocess", "SystemPackage", "Foundation", "Glibc"],
    "SluiceGatewayControl": [
      "SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine", "SluiceGatewayAPI", "SluiceSSH", "NIOCore", "NIOPosix", "NIOHTTP1",
      "Foundation", "Synchronization",
    ],
    "SluiceStore": ["SluiceModel", "SluiceRollout", "SluiceEngine", "GRDB", "Foundation", "Dispatch", "Glibc", "Synchronization"],
    "SluiceGateway": [
      "SluiceModel", "SluiceTraffic", "SluiceGatewayAPI", "CSluiceSystem", "Crypto", "NIOCore", "NIOPosix", "FoundationEssentials",
      "Glibc", "Synchronization",
    ],
    "SluiceLoad": ["NIOCore", "NIOPosix", "Glibc", "Synchronization"],
    "SluiceSimulator": ["SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine"],
    "sluice-gateway": ["SluiceGateway", "FoundationEssentials", "Glibc"],
    "sluice-load": ["SluiceLoad", "ArgumentParser", "NIOCore", "Foundation", "Dispatch", "Glibc"],
    "sluice-sample": ["NIOCore", "NIOPosix", "NIOHTTP1", "NIOWebSocket", "Synchronization", "Glibc"],
    "sluice-simulate": ["SluiceSimulator", "ArgumentParser", "Glibc"],
    "sluice-bench": ["SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine", "ArgumentParser", "Foundation", "Glibc"],
    "sluice": [
      "SluiceModel", "SluiceManifest", "SluiceTraffic", "SluiceGatewayAPI", "SluiceRollout", "SluiceEngine", "SluiceSSH", "SluiceHosts",
      "SluiceLocal", "SluiceGatewayControl", "SluiceStore", "ArgumentParser", "NIOCore", "NIOPosix", "Foundation", "Dispatch", "Glibc",
      "Synchronization",
    ],
  ]

  @Test(arguments: try Checkout.entries("Sources").filter { $0 != "README.md" })
  func `a target imports only what the design allows it`(_ target: String) throws {
    let allowed = try #require(
      LayeringTests.allowed[target], "\(target) is new: say in DESIGN section 2 and here what it may import")
    for file in try Checkout.swiftFiles("Sources/\(target)") {
      for module in Imports.read(file.code) where !allowed.contains(module) {
        Issue.record("\(file.path) imports \(module), which \(target) may not")
      }
    }
  }

  @Test func `an import is found whatever stands before it`() {
    let lines = [
      "import A", "package import B", "@testable public import C", "  internal import struct D.Name", "@preconcurrency import E.Part",
      "#if canImport(F)", "let imported = 1", "important()",
    ]
    #expect(Imports.read(lines) == ["A", "B", "C", "D", "E"])
  }
}

enum Imports {
  /// The modules that these lines import, in order.
  static func read(_ lines: [String]) -> [String] {
    lines.compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      guard let place = words.firstIndex(of: "import"),
        words[..<place].allSatisfy({ $0.hasPrefix("@") || ["package", "public", "internal", "fileprivate", "private"].contains($0) })
      else { return nil }
      let kinds = ["struct", "class", "enum", "func", "protocol", "typealias", "var", "let"]
      guard let name = words[(place + 1)...].first(where: { !kinds.contains($0) }) else { return nil }
      return String(name.split(separator: ".")[0])
    }
  }
}
