import Glibc
import SluiceGateway
import Testing

@Suite struct StateStoreTests {
  static func withStore(_ body: (StateStore, String) throws -> Void) throws {
    var template = Array("/tmp/sluice-gateway-test-XXXXXX".utf8CString)
    #expect(mkdtemp(&template) != nil)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { TestGateway.removeAll(path) }
    try body(StateStore(directory: path), path)
  }

  let first = Array("first content".utf8)
  let second = Array("second content, longer".utf8)

  @Test func `what was written is read, and the one before is kept`() throws {
    try Self.withStore { store, path in
      #expect(store.load("a.state") { _ in true } == .absent)
      try store.write("a.state", first)
      #expect(store.load("a.state") { _ in true } == .good(first))
      try store.write("a.state", second)
      #expect(store.load("a.state") { _ in true } == .good(second))
      #expect(store.load("a.state") { $0 == first } == .older(first))
      let names = try store.names(ending: ".state")
      #expect(names == ["a.state"])
    }
  }

  @Test func `a file cut anywhere, or with any octet changed, is never taken for good`() throws {
    try Self.withStore { store, path in
      try store.write("a.state", first)
      try store.write("a.state", second)
      let file = "\(path)/a.state"
      var info = stat()
      #expect(stat(file, &info) == 0)
      let size = Int(info.st_size)
      var octets = [UInt8](repeating: 0, count: size)
      let descriptor = open(file, O_RDWR)
      #expect(pread(descriptor, &octets, size, 0) == size)
      for cut in 0..<size {
        ftruncate(descriptor, cut)
        #expect(store.load("a.state") { _ in true } == .older(first), "cut to \(cut)")
        pwrite(descriptor, octets, size, 0)
      }
      for at in 0..<size {
        var changed = octets
        changed[at] ^= 1
        pwrite(descriptor, changed, size, 0)
        #expect(store.load("a.state") { _ in true } == .older(first), "changed at \(at)")
      }
      close(descriptor)
      unlink(file)
      // Only the one before is there: it is used, and said to be older.
      #expect(store.load("a.state") { _ in true } == .older(first))
    }
  }

  @Test func `when both are damaged it is lost, not absent`() throws {
    try Self.withStore { store, path in
      try store.write("a.state", first)
      try store.write("a.state", second)
      truncate("\(path)/a.state", 5)
      truncate("\(path)/a.state.previous", 5)
      #expect(store.load("a.state") { _ in true } == .lost)
    }
  }

  @Test func `a damaged file does not take the place of the last good one when the next is written`() throws {
    try Self.withStore { store, path in
      try store.write("a.state", first)
      try store.write("a.state", second)
      truncate("\(path)/a.state", 5)
      try store.write("a.state", second + second)
      #expect(store.load("a.state") { _ in true } == .good(second + second))
      truncate("\(path)/a.state", 5)
      #expect(store.load("a.state") { _ in true } == .older(first))
    }
  }

  @Test func `a write that cannot be done leaves what stood`() throws {
    try Self.withStore { store, path in
      try store.write("a.state", first)
      // A directory in the way of the temporary name.
      mkdir("\(path)/a.state.new", 0o700)
      #expect(throws: StateStore.Failure.self) { try store.write("a.state", second) }
      #expect(store.load("a.state") { _ in true } == .good(first))
    }
  }

  @Test func `a directory that is locked is not opened twice`() throws {
    try Self.withStore { store, _ in
      let lock = try store.open()
      #expect(throws: StateStore.Failure.self) { try store.open() }
      lock.release()
      let again = try store.open()
      again.release()
    }
  }
}
