import ArgumentParser
import Foundation
import Glibc
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
      do {
        try manager.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try file.text.write(toFile: path, atomically: true, encoding: .utf8)
      } catch {
        console.complain("\(path) cannot be written: \(Self.reason(error))", remedy: "name a directory that can be made and written")
        throw ExitStatus.failed
      }
      console.result(path)
    }
    console.say("Edit them, then: sluice validate -f \(directory)")
  }

  /// The system's own words where there are any.
  private static func reason(_ error: any Error) -> String {
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
    if underlying.domain == NSPOSIXErrorDomain { return String(cString: strerror(CInt(underlying.code))) }
    switch (error as? CocoaError)?.code {
    case .fileWriteFileExists?: return "something that is no directory is in its place"
    case .fileNoSuchFile?, .fileReadNoSuchFile?: return "its directory cannot be made"
    case .fileWriteNoPermission?: return "permission denied"
    default: return underlying.localizedDescription
    }
  }
}
