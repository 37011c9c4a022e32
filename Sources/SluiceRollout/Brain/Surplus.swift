/// Chooses which instances go where there are too many: the ones whose going leaves the best spread. From the fullest rack, then the fullest
/// host, newest first; those that do not serve before all.
///
/// A choice changes what is left of one rack and one host, so racks and hosts are kept in order instead of being looked at again each time.
struct Surplus {
  /// One instance that may go.
  struct Candidate: Hashable {
    /// Its place in the record.
    let place: Int
    let number: Int
    let isServing: Bool
    /// What its rack's instances share, and no others.
    let rack: Int
    /// What its host's instances share, and no others.
    let host: Int
  }

  /// The places of those that are to go, in the order in which they were chosen.
  private(set) var chosen: [Int] = []
  /// How often two hosts or two racks were compared: the work there was.
  private(set) var comparisons = 0

  /// Chooses `count` of these, or all where there are fewer.
  init(of candidates: [Candidate], count: Int) {
    take(count, of: candidates, isServing: false)
    let gone = Set(chosen)
    take(count - gone.count, of: gone.isEmpty ? candidates : candidates.filter { !gone.contains($0.place) }, isServing: true)
  }

  private mutating func take(_ count: Int, of candidates: [Candidate], isServing: Bool) {
    guard count > 0 else { return }
    var racks = Heap(racks(candidates, isServing: isServing)) { $0.rank < $1.rank }
    for _ in 0..<count {
      guard !racks.elements.isEmpty, let place = racks.elements[0].take() else { break }
      chosen.append(place)
      if racks.elements[0].hosts.elements.isEmpty { racks.dropFirst() } else { racks.sinkFirst() }
    }
    comparisons += racks.comparisons
  }

  /// The racks and hosts that have any of those that may be chosen now; what is left of them counts the others too.
  private mutating func racks(_ candidates: [Candidate], isServing: Bool) -> [Rack] {
    var inRack: [Int: Int] = [:]
    var onHost: [Int: Int] = [:]
    for candidate in candidates {
      inRack[candidate.rack, default: 0] += 1
      onHost[candidate.host, default: 0] += 1
    }
    let open = candidates.filter { $0.isServing == isServing }.sorted {
      ($0.rack, $0.host, $0.number) < ($1.rack, $1.host, $1.number)
    }
    var racks: [Rack] = []
    var hosts: [Host] = []
    for (index, candidate) in open.enumerated() {
      let before = index == 0 ? nil : open[index - 1]
      if before?.host != candidate.host { hosts.append(Host(left: onHost[candidate.host] ?? 0)) }
      hosts[hosts.count - 1].open.append((candidate.number, candidate.place))
      guard index + 1 == open.count || open[index + 1].rack != candidate.rack else { continue }
      racks.append(Rack(left: inRack[candidate.rack] ?? 0, hosts: Heap(hosts) { $0.rank < $1.rank }))
      hosts = []
    }
    comparisons += racks.reduce(0) { $0 + $1.hosts.comparisons }
    return racks
  }

  private struct Host {
    var left: Int
    /// Those that may be chosen now, the newest last.
    var open: [(number: Int, place: Int)] = []

    var rank: (Int, Int) { (-left, -(open.last?.number ?? 0)) }
  }

  private struct Rack {
    var left: Int
    var hosts: Heap<Host>

    var rank: (Int, Int, Int) {
      let first = hosts.elements.first?.rank ?? (0, 0)
      return (-left, first.0, first.1)
    }

    /// The place of the one that goes next.
    mutating func take() -> Int? {
      guard !hosts.elements.isEmpty, let next = hosts.elements[0].open.popLast() else { return nil }
      hosts.elements[0].left -= 1
      left -= 1
      if hosts.elements[0].open.isEmpty { hosts.dropFirst() } else { hosts.sinkFirst() }
      return next.place
    }
  }
}

/// A binary heap: the first in order is at place 0.
private struct Heap<Element> {
  /// Only the first may be changed from outside, to come later in order; then it sinks.
  var elements: [Element]
  private(set) var comparisons = 0
  private let isBefore: (Element, Element) -> Bool

  init(_ elements: [Element], _ isBefore: @escaping (Element, Element) -> Bool) {
    self.elements = elements
    self.isBefore = isBefore
    for place in (0..<elements.count / 2).reversed() { sink(from: place) }
  }

  mutating func dropFirst() {
    elements.swapAt(0, elements.count - 1)
    elements.removeLast()
    if !elements.isEmpty { sink(from: 0) }
  }

  mutating func sinkFirst() { sink(from: 0) }

  private mutating func sink(from start: Int) {
    var place = start
    while true {
      var first = place
      for child in [2 * place + 1, 2 * place + 2] where child < elements.count {
        comparisons += 1
        if isBefore(elements[child], elements[first]) { first = child }
      }
      if first == place { return }
      elements.swapAt(place, first)
      place = first
    }
  }
}
