/// Where the links of a release lead, walked as a host's kernel will. A link with an absolute target names something of the host (a venv's python3
/// does), and is its owner's affair; a relative one that climbs out of the release would lead into what Sluice keeps beside it.
struct LinkWalk {
  /// What is wrong with a link: the one that does it, which another may have led to.
  struct Fault: Equatable {
    enum Kind: Equatable { case leadsOut, goesRound }

    var link: String
    var target: String
    var kind = Kind.leadsOut

    /// For a sentence that begins with `the link X`.
    var words: String { kind == .leadsOut ? "leads outside the release (to \(target))" : "leads in a circle (to \(target))" }
  }

  /// The target of the link at a path below the release's root, nil where there is none.
  let link: ([String]) -> String?

  private static let limit = 40

  /// Why following a link, at a path below the root, leads to no good; nil where it stays inside, ends at an absolute target or at nothing.
  func fault(of path: [String], target: String) -> Fault? {
    var place = Array(path.dropLast())
    var current = Fault(link: path.joined(separator: "/"), target: target)
    if target.hasPrefix("/") { return nil }
    // How many parts of what is ahead belong to each link on the way, the last one's first.
    var ahead = parts(target)
    var pending: [(link: Fault, left: Int)] = [(current, ahead.count)]
    var links = 0
    while !ahead.isEmpty {
      let part = ahead.removeFirst()
      while let last = pending.last, last.left == 0, pending.count > 1 { pending.removeLast() }
      pending[pending.count - 1].left -= 1
      current = pending[pending.count - 1].link
      switch part {
      case ".": break
      case "..": if place.popLast() == nil { return current }
      default:
        let next = place + [part]
        guard let target = link(next) else {
          place = next
          continue
        }
        links += 1
        if target.hasPrefix("/") { return nil }
        // As many as Linux follows (path_resolution(7)).
        guard links <= Self.limit else { return Fault(link: path.joined(separator: "/"), target: current.target, kind: .goesRound) }
        let more = parts(target)
        pending.append((Fault(link: next.joined(separator: "/"), target: target), more.count))
        ahead = more + ahead
      }
    }
    return nil
  }

  private func parts(_ target: String) -> [String] { target.split(separator: "/").map(String.init) }
}
