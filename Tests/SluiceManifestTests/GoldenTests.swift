import Foundation
import SluiceManifest
import Testing

/// Every folder of `Golden` is a case: its `*.yaml` files are read in one go, and `expected.txt` holds what is reported, as it is printed.
/// With SLUICE_UPDATE_GOLDEN set, the files are written anew, and the test fails so that nobody forgets to look at them.
@Suite struct GoldenTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")

  static let cases: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path)
    return (names ?? []).filter { !$0.hasPrefix(".") }.sorted()
  }()

  @Test(arguments: cases)
  func `A golden manifest is reported as expected`(_ name: String) throws {
    let directory = Self.folder.appendingPathComponent(name)
    let printed = try Self.report(directory)
    let expected = directory.appendingPathComponent("expected.txt")
    if ProcessInfo.processInfo.environment["SLUICE_UPDATE_GOLDEN"] != nil {
      let before = try? String(contentsOf: expected, encoding: .utf8)
      try printed.write(to: expected, atomically: true, encoding: .utf8)
      #expect(before == printed, "\(name) was written anew")
    } else {
      let text = try String(contentsOf: expected, encoding: .utf8)
      #expect(printed == text)
    }
  }

  @Test func `There are at least forty golden cases`() {
    #expect(Self.cases.count >= 40)
  }

  /// What the reader prints for a case, with file names without their folder.
  private static func report(_ directory: URL) throws -> String {
    let files = try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".yaml") }.sorted()
    let sources = try files.map { file in
      let text = try String(contentsOf: directory.appendingPathComponent(file), encoding: .utf8)
      return ManifestSource(name: file, text: text, baseDirectory: "/base")
    }
    let result = ManifestReader.read(sources: sources)
    #expect((result.manifests == nil) == !result.errors.isEmpty)
    if result.diagnostics.isEmpty { return "no diagnostics\n" }
    return result.diagnostics.map { $0.rendered(color: false) + "\n" }.joined()
  }

  @Test func `Every kind of diagnostic is in a golden case or in a test of files`() throws {
    var seen: Set<String> = [DiagnosticID.unreadable.rawValue, DiagnosticID.fileMissing.rawValue]
    for name in Self.cases {
      let text = try String(contentsOf: Self.folder.appendingPathComponent(name).appendingPathComponent("expected.txt"), encoding: .utf8)
      for id in DiagnosticID.allCases where text.contains("[\(id.rawValue)]\n") { seen.insert(id.rawValue) }
    }
    let missing = DiagnosticID.allCases.map(\.rawValue).filter { !seen.contains($0) }
    #expect(missing.isEmpty, "no golden case for \(missing)")
  }
}
