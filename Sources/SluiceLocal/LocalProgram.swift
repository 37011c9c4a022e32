internal import Foundation
internal import Glibc
internal import SluiceModel

/// Executables of this machine, as manifests name them: by a path, or by a name that is looked up in `PATH`.
package enum LocalProgram {
  /// A path as it counts in a manifest's folder; a bare name stays one.
  static func resolve(_ program: String, from folder: String) -> String {
    program.contains("/") ? LocalPath.resolve(program, from: folder, home: NSHomeDirectory()) : program
  }

  /// Why it could not be started; nil: nothing speaks against it. `name` begins the sentence.
  package static func problem(_ program: String, called name: String) -> LocalError? {
    guard program.contains("/") else {
      let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
      if folders.contains(where: { isExecutableFile("\($0)/\(program)") }) { return nil }
      return LocalError("\(name) is not in PATH on this machine", remedy: "Install it, or name it by its whole path")
    }
    if isExecutableFile(program) { return nil }
    guard access(program, F_OK) == 0 else {
      return LocalError(
        "\(name) cannot be found on this machine (\(systemMessage(errno)))",
        remedy: "Put its path right in the manifest, or run sluice where it is")
    }
    if isDirectory(program) { return LocalError("\(name) is a directory", remedy: "Name an executable file in the manifest") }
    return LocalError("\(name) is not executable", remedy: "chmod +x \(program)")
  }

  private static func isExecutableFile(_ path: String) -> Bool { access(path, X_OK) == 0 && !isDirectory(path) }

  private static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}
