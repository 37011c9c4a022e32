import SluiceEngine
import SluiceModel
import SluiceRollout

/// Operators' words on whether hosts take instances: they lie on the hosts, and in the databases of the machines that said or heard them.
extension Simulation {
  /// The same as the script's: what it says then. A host that cannot be reached, or written, is not told.
  @discardableResult
  mutating func leave(_ word: Cordon, on host: HostName) -> Cordon? {
    guard let state = scene.hosts[host], state.hears, !state.isUnwritable else { return nil }
    cordons.hear(word)
    return cordons.word(on: host)
  }

  /// The operator of the machine whose turn it is drains a host, or undrains it: after what lies there, where it can be reached.
  mutating func say(isDrained: Bool, _ host: HostName) {
    var known = heard[machine] ?? []
    var word = Cordon(host, isDrained: isDrained, by: "sim@\(machine)", at: wall, after: known.word(on: host))
    if let state = scene.hosts[host], state.answers, let lies = cordons.word(on: host) {
      word.number = max(word.number, lies.number + 1)
    }
    leave(word, on: host)
    known.hear(word)
    heard[machine] = known
    engine?.cordons.hear(word)
  }
}
