internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout

extension HostAnswer {
  /// Who holds the fence, where the script said so.
  func holder() -> FenceHolder? {
    guard let words = value("holder")?.split(separator: " "), words.count == 5, let owner = Token.decode(words[0]),
      let epoch = UInt64(words[1]),
      let machine = Token.decode(words[2]), let since = Int64(words[3]), words[4] == "0" || words[4] == "1"
    else { return nil }
    return FenceHolder(
      fence: Fence(owner: owner, epoch: epoch), machine: machine, since: WallTime(milliseconds: since), released: words[4] == "1")
  }

  /// The facts of one look; nil where a line has another form.
  func facts(of host: HostName) -> HostFact? {
    guard let generation = number("generation", as: UInt64.self) else { return nil }
    var fact = HostFact(host: host, generation: generation)
    for text in values("instance") {
      let words = text.split(separator: " ")
      guard words.count == 3, let number = Int(words[0]), let port = Int(words[1]), words[2] == "0" || words[2] == "1" else { return nil }
      fact.instances.append(InstanceFact(number: number, port: port, running: words[2] == "1"))
    }
    fact.instances.sort { $0.number < $1.number }
    fact.releases = values("release").filter { $0.utf8.count == 64 }.map { Digest($0) }.sorted()
    var ports: Set<Int> = []
    for text in values("listening") {
      guard let port = Int(text), (1...65_535).contains(port) else { return nil }
      ports.insert(port)
    }
    fact.listening = ports.sorted()
    return fact
  }
}

/// The record's copy as it lies on a host: one line with its revision, then its bytes.
enum RecordFile {
  static func encode(_ copy: RecordCopy) -> [UInt8] { Array("{\"revision\":\"\(copy.revision)\"}\n".utf8) + copy.bytes }

  /// nil where the first line is not what `encode` writes.
  static func decode(_ bytes: [UInt8]) -> RecordCopy? {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let line = String(decoding: bytes[..<end], as: UTF8.self)
    let prefix = "{\"revision\":\""
    guard line.hasPrefix(prefix), line.hasSuffix("\"}") else { return nil }
    let numbers = line.dropFirst(prefix.count).dropLast(2).split(separator: ".", omittingEmptySubsequences: false)
    guard numbers.count == 2, let epoch = UInt64(numbers[0]), let version = UInt64(numbers[1]) else { return nil }
    return RecordCopy(revision: Revision(epoch: epoch, version: version), bytes: Array(bytes[(end + 1)...]))
  }
}
