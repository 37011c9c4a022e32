import Foundation
import SluiceManifest
import SluiceModel
import Testing

@Suite struct FilesTests {
  private let fleet = """
    apiVersion: sluice/v1
    kind: Fleet
    metadata: { name: prod }
    spec: { racks: [{ name: r, hosts: [{ name: a1, address: 10.0.0.1 }] }] }

    """
  private let service = """
    apiVersion: sluice/v1
    kind: Service
    metadata: { name: shop }
    spec: { fleet: prod, replicas: 1, artifact: { directory: . }, run: { command: [run] } }

    """

  @Test func `A directory gives its YAML files by name and not those below it`() throws {
    try withFolder { folder in
      try write(service, folder.appendingPathComponent("b.yml"))
      try write(fleet, folder.appendingPathComponent("a.yaml"))
      try write("not: read", folder.appendingPathComponent("c.json"))
      try write("not: read", folder.appendingPathComponent(".hidden.yaml"))
      try FileManager.default.createDirectory(at: folder.appendingPathComponent("below.d"), withIntermediateDirectories: false)
      try write("not: read", folder.appendingPathComponent("below.d/d.yaml"))
      let result = ManifestReader.read(paths: [folder.path])
      #expect(result.diagnostics == [])
      #expect(result.manifests?.services.first?.baseDirectory == folder.path)
    }
  }

  @Test func `A file that is named twice is read once`() throws {
    try withFolder { folder in
      let file = folder.appendingPathComponent("all.yaml")
      try write(fleet + "---\n" + service, file)
      let link = folder.appendingPathComponent("link.yaml")
      try FileManager.default.createSymbolicLink(at: link, withDestinationURL: file)
      let result = ManifestReader.read(paths: [file.path, folder.path, folder.path + "/./all.yaml", link.path])
      #expect(result.diagnostics == [])
      #expect(result.manifests?.fleets.count == 1)
    }
  }

  @Test func `What cannot be read is reported beside what is wrong elsewhere`() throws {
    try withFolder { folder in
      let binary = folder.appendingPathComponent("binary.yaml")
      try Data([0x61, 0xFF, 0xFE]).write(to: binary)
      let wrong = folder.appendingPathComponent("wrong.yaml")
      try write(service + "colour: blue\n", wrong)
      let empty = folder.appendingPathComponent("empty")
      try FileManager.default.createDirectory(at: empty, withIntermediateDirectories: false)
      let missing = folder.appendingPathComponent("missing.yaml")
      let result = ManifestReader.read(paths: [missing.path, binary.path, empty.path, wrong.path])
      #expect(result.manifests == nil)
      #expect(result.diagnostics.map(\.id) == [.unreadable, .unreadable, .noManifests, .unknownKey])
      #expect(
        result.diagnostics.first?.rendered(color: false) == """
          \(missing.path): error: cannot read this file: no such file or directory [unreadable]
              = check the path and its permissions
          """)
    }
  }

  @Test func `A file that is far too large is not read`() throws {
    try withFolder { folder in
      let file = folder.appendingPathComponent("disk.yaml")
      try Data(count: 5 << 20).write(to: file)
      #expect(ManifestReader.read(paths: [file.path]).diagnostics.map(\.id) == [.tooComplex])
    }
  }

  @Test func `Hooks and files of secrets that are not there are warnings at their places`() throws {
    try withFolder { folder in
      let lines = service.replacingOccurrences(
        of: "run: { command: [run] } }",
        with: """
          run: { command: [run], secrets: { TOKEN: { fromFile: token }, KEY: { fromCommand: [./key] } } },
            hooks: { preDeploy: here, postDeploy: hooks/there, failed: plain },
            strategy: { blueGreen: { checks: [{ name: smoke, command: [./smoke] }] } },
            route: { gateway: edge, hosts: [shop.example.com] } }
          """)
      let gateway = """
        apiVersion: sluice/v1
        kind: Gateway
        metadata: { name: edge }
        spec: { fleet: prod, hosts: [a1], listen: [{ address: 10.0.0.1, port: 80 }] }

        """
      let file = folder.appendingPathComponent("all.yaml")
      try write([fleet, gateway, lines].joined(separator: "---\n"), file)
      try write("#!/bin/sh\n", folder.appendingPathComponent("here"))
      try write("#!/bin/sh\n", folder.appendingPathComponent("plain"))
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path + "/here")
      let result = ManifestReader.read(paths: [file.path])
      #expect(result.manifests != nil)
      #expect(result.warnings.map(\.id) == [DiagnosticID](repeating: .fileMissing, count: 5))
      #expect(result.warnings.map(\.message).contains("the hook `hooks/there` does not exist"))
      #expect(result.warnings.map(\.message).contains("the hook `plain` cannot be executed"))
      #expect(result.warnings.map(\.message).contains("the command of check `smoke` does not exist"))
      #expect(result.warnings.allSatisfy { $0.line > 0 && $0.column > 0 })
      #expect(result.warnings.compactMap(\.suggestion).contains("looked for at \(folder.path)/token"))
    }
  }

  @Test func `No files at all is an error`() {
    let result = ManifestReader.read(paths: [])
    #expect(result.manifests == nil)
    #expect(result.diagnostics.map(\.id) == [.noManifests])
  }

  @Test func `The starter manifests have no diagnostics and explain themselves`() {
    let files = StarterManifests.files()
    let result = ManifestReader.read(sources: files.map { ManifestSource(name: $0.path, text: $0.text, baseDirectory: "/base") })
    #expect(result.diagnostics == [])
    #expect(result.manifests?.services.map(\.policy.name) == ["shop"])
    for (_, text) in files { #expect(text.hasPrefix("# ") && text.hasSuffix("\n")) }
  }

  @Test(arguments: ["rolling", "recreate", "blueGreen", "canary"])
  func `What the starter manifests offer in comments works too, each strategy in the place of the others`(_ strategy: String) {
    let strategies = ["rolling", "recreate", "blueGreen", "canary"]
    let files = StarterManifests.files().map { path, text in
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).compactMap { line -> Substring? in
        let line = Self.uncommented(line)
        let words = line.drop { $0 == " " }
        let isOther = strategies.contains { $0 != strategy && words.hasPrefix("\($0): {") }
        return isOther ? nil : line
      }
      return ManifestSource(name: path, text: lines.joined(separator: "\n"), baseDirectory: "/base")
    }
    let result = ManifestReader.read(sources: files)
    #expect(result.diagnostics.map { $0.rendered(color: false) } == [])
    #expect(result.manifests?.gateways.first?.health != nil)
    #expect(result.manifests?.services.first?.run.secrets == ["DATABASE_URL"])
  }

  /// A line with a key in a comment, without the mark.
  private static func uncommented(_ line: Substring) -> Substring {
    guard let mark = line.firstRange(of: "# "), line[..<mark.lowerBound].allSatisfy({ $0 == " " }), line.hasPrefix(" ") else { return line }
    let rest = line[mark.upperBound...]
    let isKey = rest.first?.isLowercase == true && rest.prefix { $0.isLetter }.endIndex < rest.endIndex && rest.contains(": ")
    return isKey ? line[..<mark.lowerBound] + rest : line
  }

  private func write(_ text: String, _ url: URL) throws { try text.write(to: url, atomically: true, encoding: .utf8) }

  private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sluice-manifest-\(UUID().uuidString)")
      .resolvingSymlinksInPath()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }
}
