import Foundation

/// A directory of its own, gone with the last reference.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "sluice-local-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file below it, and the directories it needs; returns its path.
  @discardableResult
  func file(_ name: String, _ text: String = "", mode: Int = 0o644) throws -> String {
    let full = "\(path)/\(name)"
    try FileManager.default.createDirectory(atPath: (full as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(filePath: full))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: full)
    return full
  }

  /// An executable script. Another process writes it: were it this one, a program that is started at the same moment would hold the file open for
  /// writing until it is another program, and running the script would fail as "text file busy".
  func script(_ name: String, _ body: String) throws -> String {
    let draft = try file(name + ".draft", "#!/bin/sh\n\(body)\n")
    try shell("/usr/bin/install", "-m", "755", draft, "\(path)/\(name)", in: path)
    return "\(path)/\(name)"
  }

  func link(_ name: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(atPath: "\(path)/\(name)", withDestinationPath: target)
  }

  func text(_ name: String) throws -> String { try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }
}

/// Runs a program to its end and returns what it wrote.
@discardableResult
func shell(_ program: String, _ arguments: String..., in directory: String) throws -> String {
  let process = Process()
  process.executableURL = URL(filePath: program)
  process.arguments = arguments
  process.currentDirectoryURL = URL(filePath: directory)
  let pipe = Pipe()
  process.standardOutput = pipe
  try process.run()
  let data = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
  return String(decoding: data, as: UTF8.self)
}
