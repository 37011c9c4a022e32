import Foundation
import Testing

/// `sluice-gateway` runs on any host of its architecture: no loader, no shared library, no full Foundation.
@Suite struct GatewayExecutableTests {
  /// Beside the test bundle, or where the build says.
  static var executable: URL? {
    var places = ProcessInfo.processInfo.environment["SLUICE_BIN"].map { [URL(filePath: $0)] } ?? []
    places.append(URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent())
    places += Bundle.allBundles.map { $0.bundleURL.deletingLastPathComponent() }
    return places.map { $0.appending(path: "sluice-gateway") }.first { FileManager.default.isExecutableFile(atPath: $0.path) }
  }

  @Test(.enabled(if: executable != nil, "sluice-gateway is not built beside the tests"))
  func `the gateway needs no shared library and holds no full Foundation`() throws {
    let image = try ELFImage(Data(contentsOf: #require(GatewayExecutableTests.executable), options: .alwaysMapped))
    #expect(image.interpreter == nil, "it asks for a loader: it is not static")
    #expect(image.needed == 0, "it needs shared libraries")
    // Swift's mangling: `$s10Foundation` is of the module Foundation, `$s20FoundationEssentials` of the small one.
    #expect(!image.holds("$s10Foundation"), "symbols of full Foundation are linked in")
  }

  @Test func `the reader of ELF files tells a dynamic executable from a static one`() throws {
    let image = try ELFImage(Data(contentsOf: URL(filePath: "/proc/self/exe")))
    #expect(image.interpreter != nil)
    #expect(image.needed > 0)
    #expect(image.holds("ELF"))
    #expect(throws: ELFImage.NotELF.self) { try ELFImage(Data("#!/bin/sh".utf8)) }
  }
}

/// As much of a 64-bit little-endian ELF file as is asked here (System V ABI, chapters 4 and 5).
struct ELFImage {
  struct NotELF: Error {}

  let data: Data
  /// The loader that PT_INTERP names.
  private(set) var interpreter: String?
  /// How many libraries DT_NEEDED asks for.
  private(set) var needed = 0

  init(_ data: Data) throws {
    guard data.count > 64, data.prefix(6) == Data([0x7f, 0x45, 0x4c, 0x46, 2, 1]) else { throw NotELF() }
    self.data = data
    let headers = Int(word(0x20, 8))
    for index in 0..<Int(word(0x38, 2)) {
      let header = headers + index * Int(word(0x36, 2))
      let offset = Int(word(header + 8, 8))
      let size = Int(word(header + 32, 8))
      switch word(header, 4) {
      case 3: interpreter = String(decoding: data[offset..<(offset + size)].prefix { $0 != 0 }, as: UTF8.self)
      case 2:
        for entry in stride(from: offset, to: offset + size, by: 16) where word(entry, 8) == 1 { needed += 1 }
      default: break
      }
    }
  }

  private func word(_ offset: Int, _ bytes: Int) -> UInt64 {
    (0..<bytes).reduce(0) { $0 | UInt64(data[offset + $1]) << UInt64(8 * $1) }
  }

  func holds(_ text: String) -> Bool { data.range(of: Data(text.utf8)) != nil }
}
