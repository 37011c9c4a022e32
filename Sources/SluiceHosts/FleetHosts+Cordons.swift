internal import SluiceEngine
package import SluiceModel
package import SluiceRollout

/// Operators' words on whether hosts take instances, as they lie on the hosts themselves.
extension FleetHosts {
  package func leave(_ word: Cordon, on host: Host) async -> Cordon? { try? await say(word, on: host, follows: false) }

  /// Leaves a word that was said just now: it comes after whatever lies there. The one that lies there then.
  ///
  /// Throws what `words` makes a sentence of.
  package func say(_ word: Cordon, on host: Host) async throws -> Cordon { try await say(word, on: host, follows: true) }

  private func say(_ word: Cordon, on host: Host, follows: Bool) async throws -> Cordon {
    var script = HostScript(CordonScripts.leave)
    script.set("root", host.root)
    script.set("number", word.number)
    script.set("drained", word.isDrained ? 1 : 0)
    script.set("at", word.at.milliseconds)
    script.set("by", Token.encode(word.by))
    script.set("follows", follows ? 1 : 0)
    let answer = try await link(host).run(script, .inspect, limits: limits)
    guard let standing = answer.cordon(of: host.name) else { throw HostTrouble.unreadable(host, answer) }
    return standing
  }

  /// What was last said of a host, as it knows it; nil: nothing. Throws what `words` makes a sentence of.
  package func cordon(of host: Host) async throws -> Cordon? {
    var script = HostScript(CordonScripts.look)
    script.set("root", host.root)
    return try await link(host).run(script, .inspect, limits: limits).cordon(of: host.name)
  }
}

extension HostAnswer {
  /// What was last said of the host, in its own words; nil: nothing, or nothing that can be read.
  func cordon(of host: HostName) -> Cordon? {
    guard let words = value("cordon")?.split(separator: " "), words.count == 4, let number = UInt64(words[0]),
      (1...Cordon.highestOfHost).contains(number), words[1] == "0" || words[1] == "1",
      let at = Int64(words[2]), (0...Bounds.wallTime.milliseconds).contains(at), let by = Token.decode(words[3])
    else { return nil }
    return Cordon(host: host, number: number, isDrained: words[1] == "1", by: by, at: WallTime(milliseconds: at))
  }
}
