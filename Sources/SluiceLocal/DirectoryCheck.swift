internal import Foundation
internal import Glibc

/// Whether a directory can become a release: readable, not empty, nothing in it but files, directories and links that stay inside.
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
        guard staysInside(root, parents, target(of: path)) else {
          throw LocalError(
            "the link \(path) leads outside the release (to \(target(of: path)))",
            remedy: "Copy what it names into the directory, or leave it out")
        }
      default: throw LocalError("\(path) is neither a file nor a directory nor a link", remedy: "Leave it out of the release")
      }
    }
    return !names.isEmpty
  }

  /// Walks a link's target as the kernel would, links on the way included, and never above the root. A target that does not exist is walked by its text.
  private static func staysInside(_ root: String, _ start: [String], _ target: String) -> Bool {
    guard !target.hasPrefix("/") else { return false }
    var place = start
    var ahead = target.split(separator: "/").map(String.init)
    var links = 0
    while !ahead.isEmpty {
      let part = ahead.removeFirst()
      switch part {
      case ".": break
      case "..":
        guard place.popLast() != nil else { return false }
      default:
        let path = ([root] + place + [part]).joined(separator: "/")
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else {
          place.append(part)
          continue
        }
        links += 1
        let next = Self.target(of: path)
        guard links <= 40, !next.hasPrefix("/") else { return false }
        ahead = next.split(separator: "/").map(String.init) + ahead
      }
    }
    return true
  }

  private static func target(of link: String) -> String { (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) ?? "/" }
}
