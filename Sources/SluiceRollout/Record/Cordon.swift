package import SluiceModel

/// An operator's word on whether a host takes instances. It lies on the host itself, so that whoever acts there is told of it, and in the store
/// of every machine that has said or heard it.
package struct Cordon: Hashable, Codable, Sendable {
  /// Of the operator's name, in bytes.
  package static let nameLength = 200
  /// The highest number of a word: what a clock shows in the year 5138.
  package static let highest: UInt64 = 99_999_999_999_999
  /// The highest number that is believed of a host: half of the highest, so that there is always a newer word.
  package static let highestOfHost = highest / 2

  package var host: HostName
  /// The higher one is the newer word. It is above that of every word that its speaker knew of, and no lower than the milliseconds of the
  /// speaker's clock, so that those who know nothing of each other are put in order as well as their clocks can.
  package var number: UInt64
  /// false: the host takes instances again.
  package var isDrained: Bool
  /// `user@machine`; empty for a word from before hosts kept them.
  package var by: String
  package var at: WallTime

  package init(host: HostName, number: UInt64, isDrained: Bool, by: String, at: WallTime) {
    self.host = host
    self.number = min(number, Self.highest)
    self.isDrained = isDrained
    var name = String(by.prefix(Self.nameLength))
    while name.utf8.count > Self.nameLength { name.removeLast() }
    self.by = name
    self.at = at
  }

  /// The next word on the host, said now by somebody who knows of `last`.
  package init(_ host: HostName, isDrained: Bool, by: String, at: WallTime, after last: Cordon?) {
    let number = max((last?.number ?? 0) + 1, UInt64(max(0, at.milliseconds)))
    self.init(host: host, number: number, isDrained: isDrained, by: by, at: at)
  }

  /// ` by anna@laptop`; empty where that is not known.
  package var speaker: String { by.isEmpty ? "" : " by \(by)" }

  /// Of two with one number the one that drains counts: somebody may be about to work on the host.
  package func isNewer(than other: Cordon?) -> Bool {
    guard let other else { return true }
    return number > other.number || number == other.number && isDrained && !other.isDrained
  }
}

/// The newest word on each host.
package struct Cordons: Hashable, Sendable {
  /// In the order of the hosts' names.
  package private(set) var words: [Cordon] = []
  /// Those that are drained, in the order of their names.
  package private(set) var hosts: [HostName] = []

  package init(_ words: [Cordon] = []) { for word in words { hear(word) } }

  package func word(on host: HostName) -> Cordon? { words.index(of: host, by: \.host).map { words[$0] } }

  /// Takes the word in, unless it knows a newer one, or this one; says which.
  @discardableResult
  package mutating func hear(_ word: Cordon) -> Bool {
    let place = words.partitioningIndex { $0.host >= word.host }
    if place < words.count, words[place].host == word.host {
      guard word.isNewer(than: words[place]) else { return false }
      words[place] = word
    } else {
      words.insert(word, at: place)
    }
    hosts = words.filter(\.isDrained).map(\.host)
    return true
  }
}

extension Cordons: ExpressibleByArrayLiteral {
  /// Hosts that are drained, by nobody in particular.
  package init(arrayLiteral hosts: HostName...) {
    self.init(hosts.map { Cordon(host: $0, number: 1, isDrained: true, by: "", at: WallTime(milliseconds: 0)) })
  }
}
