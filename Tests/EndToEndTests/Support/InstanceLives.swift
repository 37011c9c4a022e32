import Foundation

/// When each instance of the sample service listened, by what the instances themselves wrote into their hosts' journals.
struct InstanceLives: CustomStringConvertible {
  struct Life {
    var host: String
    var instance: String
    var version: String
    /// Seconds since 1970; all hosts of a rig have this machine's clock.
    var began: Double
    /// nil: it listens still.
    var ended: Double?
  }
  private(set) var all: [Life] = []
  var count: Int { all.count }
  var description: String {
    all.map { "\($0.host) \($0.instance) \($0.version): \($0.began)–\($0.ended.map { "\($0)" } ?? "")" }.joined(separator: "\n")
  }

  static func read(_ rig: Rig, on hosts: [String]) async throws -> InstanceLives {
    var lives = InstanceLives()
    for host in hosts {
      let journal = try await rig.run(
        on: host, "journalctl", "--quiet", "--output", "short-unix", "--no-pager", "--grep", "sluice-sample: st")
      for line in journal.out.split(separator: "\n") {
        guard let at = line.split(separator: " ").first.flatMap({ Double($0) }), let pid = word("pid", line) else { continue }
        if line.contains("sluice-sample: started") {
          lives.all.append(Life(host: host, instance: word("instance", line) ?? "", version: word("version", line) ?? "", began: at))
          lives.pids.append(pid)
        } else if line.contains("sluice-sample: stopped"),
          let index = lives.all.indices.last(where: { lives.all[$0].host == host && lives.pids[$0] == pid })
        {
          lives.all[index].ended = at
        }
      }
    }
    return lives
  }

  private var pids: [String] = []
  private static func word(_ name: String, _ line: Substring) -> String? {
    line.split(separator: " ").first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.count + 1)) }
  }

  private var changes: [(at: Double, by: Int)] {
    (all.map { ($0.began, 1) } + all.compactMap { life in life.ended.map { ($0, -1) } }).sorted { ($0.0, $0.1) < ($1.0, $1.1) }
  }

  /// The most that listened at one moment.
  var mostAtOnce: Int {
    var now = 0
    return changes.reduce(0) { most, change in
      now += change.by
      return max(most, now)
    }
  }

  /// The fewest that listened at any moment from `start` on.
  func leastAtOnce(from start: Double) -> Int {
    var now = 0
    var least = Int.max
    var begun = false
    for change in changes {
      if !begun, change.at >= start {
        begun = true
        least = now
      }
      now += change.by
      if begun { least = min(least, now) }
    }
    return least
  }
}
