import ArgumentParser
import Foundation
import SluiceManifest

/// `sluice init [DIR]`
struct Init: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Write starter manifests into a directory.")

  @Argument(help: "The directory; made when missing.")
  var directory = "."

  func run() throws {
    let console = Console()
    let files = StarterManifests.files()
    let manager = FileManager.default
    let paths = files.map { "\(directory)/\($0.path)" }
    let existing = paths.filter { manager.fileExists(atPath: $0) }
    guard existing.isEmpty else {
      console.complain("\(existing.joined(separator: ", ")) exists already: nothing was written", remedy: "name another directory")
      throw ExitStatus.failed
    }
    for (file, path) in zip(files, paths) {
      try manager.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try file.text.write(toFile: path, atomically: true, encoding: .utf8)
      console.result(path)
    }
    console.say("Edit them, then: sluice validate -f \(directory)")
  }
}
