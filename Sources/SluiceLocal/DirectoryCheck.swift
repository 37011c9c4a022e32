internal import Foundation
internal import Glibc

/// Whether a directory can become a release: readable, not empty, nothing in it but files, directories and links that do not climb out of it.
enum DirectoryCheck {
  /// Throws `LocalError`.
  static func check(_ root: String) throws(LocalError) {
    var status = stat()
    guard stat(root, &status) == 0 else {
      throw LocalError(
        "the artifact directory \(root) cannot be read (\(systemMessage(errno)))", remedy: "Build it first, or put the path right")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      throw LocalError("the artifact directory \(root) is a file", remedy: "Write artifact: { path: … } for a packed artifact")
    }
    guard try check(root, []) else { throw LocalError("the artifact directory \(root) is empty", remedy: "Build it first") }
  }

  /// Says whether there is anything in it.
  private static func check(_ root: String, _ parents: [String]) throws(LocalError) -> Bool {
    let directory = ([root] + parents).joined(separator: "/")
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted() } catch {
      throw LocalError("\(directory) cannot be read (\(error.localizedDescription))", remedy: "Check its permissions")
    }
    for name in names {
      let path = "\(directory)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0 else { throw LocalError("\(path) cannot be read (\(systemMessage(errno)))") }
      switch status.st_mode & S_IFMT {
      case S_IFREG:
        guard access(path, R_OK) == 0 else {
          throw LocalError("\(path) cannot be read (\(systemMessage(errno)))", remedy: "Check its permissions")
        }
      case S_IFDIR: _ = try check(root, parents + [name])
      case S_IFLNK:
        let target = target(of: path)
        if target.hasPrefix("/"), leads(target, into: root) {
          throw LocalError(
            "the link \(path) leads to \(target), which is its place on this machine and not on a host",
            remedy: "Make it relative: ln -sr")
        }
        let walk = LinkWalk { parts in Self.link(at: ([root] + parts).joined(separator: "/")) }
        if let fault = walk.fault(of: parents + [name], target: target) {
          throw LocalError(
            "the link \(root)/\(fault.link) \(fault.words)", remedy: "Copy what it names into the directory, or leave it out")
        }
      default: throw LocalError("\(path) is neither a file nor a directory nor a link", remedy: "Leave it out of the release")
      }
    }
    return !names.isEmpty
  }

  /// The target of a link, nil where the path is none.
  private static func link(at path: String) -> String? {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return nil }
    return target(of: path)
  }

  /// Whether an absolute path lies below the directory, by whichever name that has.
  private static func leads(_ path: String, into root: String) -> Bool {
    [root, URL(filePath: root).standardizedFileURL.path, URL(filePath: root).resolvingSymlinksInPath().path].contains {
      path == $0 || path.hasPrefix($0.hasSuffix("/") ? $0 : $0 + "/")
    }
  }

  private static func target(of link: String) -> String { (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) ?? "/" }
}
