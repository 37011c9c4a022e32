internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout

extension HostAnswer {
  /// Who holds the fence, where the script said so.
  func holder() -> FenceHolder? {
    guard let words = value("holder")?.split(separator: " "), words.count == 5, let owner = Token.decode(words[0]),
      let epoch = UInt64(words[1]), epoch <= RecordLimits.told,
      let machine = Token.decode(words[2]), let since = Int64(words[3]), words[4] == "0" || words[4] == "1"
    else { return nil }
    return FenceHolder(
      fence: Fence(owner: owner, epoch: epoch), machine: machine, since: WallTime(milliseconds: since), released: words[4] == "1")
  }

  /// The first line with a number that no host reaches.
  var excessive: String? {
    let line = lines.first { line in
      ["generation", "instance", "holder", "listening", "held"].contains(line.key)
        && line.value.split(separator: " ").prefix(line.key == "instance" ? 2 : 5).contains {
          $0.utf8.count > 9 && $0.utf8.allSatisfy { (48...57).contains($0) }
        }
        && !(line.key == "generation" && line.value.utf8.count < 15)
    }
    return line.map { "\($0.key) \($0.value.prefix(120))" }
  }

  /// `NUMBER PORT RUNNING`, and for a program that is not up `CAUSE SINCE STATUS SIGNAL RESTARTS`, with `-` for what is not known.
  private static func instance(_ words: [Substring]) -> InstanceFact? {
    guard words.count == 3 || words.count == 8, let number = Int(words[0]), (0...RecordLimits.numberTold).contains(number),
      let port = Int(words[1]), (0...65_535).contains(port), words[2] == "0" || words[2] == "1"
    else {
      return nil
    }
    var fact = InstanceFact(number: number, port: port, running: words[2] == "1")
    if words.count == 8 {
      guard let cause = EndedFact.Cause(rawValue: String(words[3])) else { return nil }
      func bounded(_ word: Substring) -> Int? { Int(word).flatMap { (0...RecordLimits.numberTold).contains($0) ? $0 : nil } }
      let since = Int64(words[4]).map { WallTime(milliseconds: $0) }
      fact.ended = EndedFact(
        cause, since: since.flatMap { $0 >= WallTime(milliseconds: 0) && $0 <= Bounds.wallTime ? $0 : nil }, exitStatus: bounded(words[5]),
        signal: bounded(words[6]), restarts: bounded(words[7]) ?? 0)
    }
    return fact
  }

  /// The facts of one look; nil where a line has another form.
  func facts(of host: HostName) -> HostFact? {
    guard let generation = number("generation", as: UInt64.self), generation <= RecordLimits.told else { return nil }
    var fact = HostFact(host: host, generation: generation)
    for text in values("instance") {
      guard let instance = Self.instance(text.split(separator: " ")) else { return nil }
      fact.instances.append(instance)
    }
    fact.instances.sort { $0.number < $1.number }
    fact.releases = values("release").filter { $0.utf8.count == 64 }.map { Digest($0) }.sorted()
    var ports: Set<Int> = []
    for text in values("listening") {
      guard let port = Int(text), (1...65_535).contains(port) else { return nil }
      ports.insert(port)
    }
    fact.listening = ports.sorted()
    fact.cordon = cordon(of: host)
    let held = values("held").compactMap { Int($0) }
    guard held.count == values("held").count, held.allSatisfy({ (1...65_535).contains($0) }) else { return nil }
    fact.held = held.isEmpty ? nil : Set(held).sorted()
    return fact
  }
}
