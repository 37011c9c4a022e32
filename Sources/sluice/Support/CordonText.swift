import SluiceHosts
import SluiceModel
import SluiceRollout

/// Which hosts are drained, for people.
enum CordonText {
  /// `drained by anna@laptop, 2026-11-21 04:00:00 UTC`
  static func words(_ word: Cordon) -> String {
    "drained\(word.speaker)\(word.at.milliseconds > 0 ? ", \(TimeText.utc(word.at))" : "")"
  }

  /// A line for each time that hosts of the fleet were drained and not undrained since.
  static func lines(_ cordons: Cordons, _ fleet: Fleet) -> [String] {
    var lines: [(words: String, hosts: [HostName])] = []
    for host in fleet.hosts {
      guard let word = cordons.word(on: host.name), word.isDrained else { continue }
      let words = words(word)
      if lines.last?.words == words { lines[lines.count - 1].hosts.append(host.name) } else { lines.append((words, [host.name])) }
    }
    return lines.map { line in
      let names = line.hosts.map(\.rawValue)
      let undrain = names.count == 1 ? names[0] : "HOST"
      return
        "\(names.joined(separator: ", ")) \(names.count == 1 ? "is" : "are") \(line.words): nothing is placed there (sluice undrain \(undrain))"
    }
  }
}

/// Asks hosts what was last said of them. It asks nobody to do anything, and never for longer than it is told to.
enum CordonSurvey {
  /// What those say that answer in time.
  static func ask(_ hosts: FleetHosts, _ fleet: Fleet, within limit: Duration = .seconds(2)) async -> [Cordon] {
    await withTaskGroup(of: Cordon?.self) { group in
      for host in fleet.hosts { group.addTask { await Bounded.run(limit) { try? await hosts.cordon(of: host) } ?? nil } }
      return await group.reduce(into: []) { words, word in if let word { words.append(word) } }
    }
  }

  /// The same, over connections of its own.
  static func ask(_ workspace: Workspace) async -> [Cordon] {
    let words = try? await HostReader.with(workspace) { hosts, _ in await ask(hosts, workspace.fleet) }
    return words ?? []
  }
}

/// A drained host, as `--output json` tells of it.
struct DrainedHost: Codable {
  var host: String
  var by: String
  /// nil where that is not known.
  var at: WallTime?

  init(_ word: Cordon) {
    host = word.host.rawValue
    by = word.by
    at = word.at.milliseconds > 0 ? word.at : nil
  }
}
