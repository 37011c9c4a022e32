import Foundation

/// Finds and reads the files that a command names.
struct ManifestFiles {
  private(set) var sources: [ManifestSource] = []
  /// What could not be read.
  private(set) var problems: [Diagnostic] = []

  /// More than any manifest has, less than what makes a mistaken path (a disk image, say) slow.
  static let largestFile = 4 << 20

  init(paths: [String]) {
    var seen: Set<String> = []
    for path in paths {
      for file in files(at: path) where seen.insert(URL(fileURLWithPath: file).resolvingSymlinksInPath().path).inserted { add(file) }
    }
  }

  /// The diagnostic for files in which there is no document.
  static func nothing(in names: [String]) -> Diagnostic {
    let place = names.isEmpty ? "no file was given" : "there is no document in \(names.prefix(5).joined(separator: ", "))"
    return whole(names.first ?? "manifest", .noManifests, place, suggestion: "`sluice init` writes examples to start from")
  }

  private static func whole(_ file: String, _ id: DiagnosticID, _ message: String, suggestion: String) -> Diagnostic {
    Diagnostic(
      severity: .error, id: id, message: message, file: file, line: 0, column: 0, sourceLine: "", length: 1, suggestion: suggestion)
  }

  private mutating func files(at path: String) -> [String] {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else { return [path] }
    do {
      let names = try FileManager.default.contentsOfDirectory(atPath: path).sorted {
        $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars)
      }
      let files = names.filter { ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) && !$0.hasPrefix(".") }
      if files.isEmpty {
        problems.append(
          Self.whole(
            path, .noManifests, "no *.yaml or *.yml in this directory", suggestion: "directories below it are not searched; name the files")
        )
      }
      return files.map { path.hasSuffix("/") ? path + $0 : path + "/" + $0 }
    } catch {
      problems.append(
        Self.whole(path, .unreadable, "cannot list this directory: \(Self.reason(error))", suggestion: "check its permissions"))
      return []
    }
  }

  private mutating func add(_ path: String) {
    do {
      var info = stat()
      guard stat(path, &info) == 0 else { throw NSError(domain: NSPOSIXErrorDomain, code: Int(errno)) }
      guard info.st_mode & S_IFMT == S_IFREG else {
        problems.append(
          Self.whole(path, .unreadable, "this is no regular file", suggestion: "write it to one; -f names files or directories"))
        return
      }
      let size = Int(info.st_size)
      guard size <= Self.largestFile else {
        problems.append(
          Self.whole(
            path, .tooComplex, "\(size) bytes are too much for a manifest", suggestion: "at most \(Self.largestFile); is it the right file?"
          ))
        return
      }
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      guard let text = String(validating: data, as: UTF8.self) else {
        problems.append(Self.whole(path, .unreadable, "this is not UTF-8 text", suggestion: "save it as UTF-8; is it the right file?"))
        return
      }
      let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
      sources.append(ManifestSource(name: path, text: text, baseDirectory: directory))
    } catch {
      problems.append(
        Self.whole(path, .unreadable, "cannot read this file: \(Self.reason(error))", suggestion: "check the path and its permissions"))
    }
  }

  /// The system's own words where there are any.
  private static func reason(_ error: any Error) -> String {
    switch (error as? CocoaError)?.code {
    case .fileReadNoSuchFile?, .fileNoSuchFile?: return "no such file or directory"
    case .fileReadNoPermission?: return "permission denied"
    default: break
    }
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError ?? error as NSError
    if underlying.domain != NSPOSIXErrorDomain { return underlying.localizedDescription }
    return String(cString: strerror(Int32(underlying.code))).lowercased()
  }
}
