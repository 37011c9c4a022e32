import Foundation
import SluiceModel
import Testing

@testable import SluiceLocal

@Suite struct ArtifactTests {
  let directory: TemporaryDirectory
  let packer: ArtifactPacker

  init() throws {
    directory = try TemporaryDirectory()
    packer = ArtifactPacker(cacheDirectory: directory.path + "/cache")
  }

  private func pack(_ name: String) async throws -> PackedArtifact {
    try await packer.pack(.directory(name), baseDirectory: directory.path)
  }

  private func refusal(_ source: ArtifactSource) async throws -> LocalError {
    try await #require(throws: LocalError.self) { try await packer.pack(source, baseDirectory: directory.path) }
  }

  private func cacheContent() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: directory.path + "/cache").sorted() }

  @Test func `a packed tar is copied under its digest, once`() async throws {
    try directory.file("tree/bin/shop", "run", mode: 0o755)
    try shell("/bin/tar", "-czf", "shop.tar.gz", "-C", "tree", ".", in: directory.path)
    let packed = try await packer.pack(.path("shop.tar.gz"), baseDirectory: directory.path)
    let sum = try shell("/usr/bin/sha256sum", "shop.tar.gz", in: directory.path)
    #expect(packed.digest.rawValue == String(sum.prefix(64)))
    #expect(packed.path == "\(directory.path)/cache/\(packed.digest).tar.gz")
    #expect(try Data(contentsOf: URL(filePath: packed.path)) == Data(contentsOf: URL(filePath: directory.path + "/shop.tar.gz")))
    #expect(packed.size > 0 && packer.cached(packed.digest) == packed)
    let again = try await packer.pack(.path(directory.path + "/shop.tar.gz"), baseDirectory: "/elsewhere")
    #expect(again == packed)
    #expect(try cacheContent() == ["\(packed.digest).tar.gz"])
  }

  @Test func `what no release names any more goes from the cache, and what was just packed stays`() async throws {
    func age(_ name: String, days: Double) throws {
      try FileManager.default.setAttributes(
        [.modificationDate: Date().addingTimeInterval(-86_400 * days)], ofItemAtPath: "\(directory.path)/cache/\(name)")
    }
    var packed: [PackedArtifact] = []
    for number in 1...3 {
      try directory.file("tree\(number)/f", "content \(number)")
      packed.append(try await pack("tree\(number)"))
    }
    for name in try cacheContent() { try age(name, days: 2) }
    // Packed again: it is about to be used, and no record has it yet.
    _ = try await pack("tree3")
    try directory.file("cache/.1.2.tmp", "half")
    try age(".1.2.tmp", days: 2)
    packer.prune(keeping: [packed[0].digest])
    #expect(packed.map { packer.cached($0.digest) != nil } == [true, false, true])
    #expect(try cacheContent().count { $0.hasSuffix(".packed") } == 1, "how the kept one was found by its content is kept too")
    #expect(try !cacheContent().contains(".1.2.tmp"))
  }

  @Test func `what is no artifact is named for what it is, and leaves nothing in the cache`() async throws {
    try directory.file("plain", "hello")
    try directory.file("empty")
    try directory.file("tree/f", "x")
    try shell(
      "/bin/sh", "-c",
      "seq 2000 | gzip > nontar.gz; echo no tar | gzip > short.gz; head -c 300000 /dev/urandom > big; tar -czf whole.tar.gz big",
      in: directory.path)
    try shell("/bin/sh", "-c", "head -c 200000 whole.tar.gz > cut.tar.gz; tar -czf nothing.tar.gz -T /dev/null", in: directory.path)
    try shell("/bin/sh", "-c", "tar -czPf outside.tar.gz tree/../tree/f; tar -czPf absolute.tar.gz $PWD/tree/f", in: directory.path)
    let expectations: [(ArtifactSource, String)] = [
      (.path("missing.tar.gz"), "missing.tar.gz cannot be read (No such file or directory)"), (.path("tree"), "tree is a directory"),
      (.path("plain"), "plain is not gzip-compressed"), (.path("empty"), "empty is empty"),
      (.path("nontar.gz"), "not a whole gzip-compressed tar"),
      (.path("cut.tar.gz"), "not a whole gzip-compressed tar"), (.path("nothing.tar.gz"), "holds nothing"),
      (.path("short.gz"), "holds nothing"),
      (.path("outside.tar.gz"), "leads outside"), (.path("absolute.tar.gz"), "leads outside"),
      (.path("/dev/null"), "is not a regular file"), (.directory("missing"), "missing cannot be read"),
      (.directory("plain"), "plain is a file"),
    ]
    for (source, words) in expectations {
      let error = try await refusal(source)
      #expect(error.message.contains(words), "\(source): \(error)")
      #expect(!error.message.contains("/cache/"), "\(error)")
    }
    #expect(try cacheContent().isEmpty)
  }

  @Test func `the same content packs to the same digest, whatever its times, owners, modes and order`() async throws {
    for (root, files) in [("one", ["a", "b/c", "b/d"]), ("two", ["b/d", "b/c", "a"])] {
      for file in files { try directory.file("\(root)/\(file)", file) }
      try directory.file("\(root)/bin/run", "x", mode: root == "one" ? 0o755 : 0o700)
      try directory.link("\(root)/current", to: "bin/run")
    }
    try shell("/usr/bin/touch", "-d", "2001-01-01", "two/a", "two/b", "two", in: directory.path)
    try shell("/bin/chmod", "-R", "g-r,o-rwx", "two/b", in: directory.path)
    let one = try await pack("one")
    let two = try await pack("two")
    #expect(one == two)
    let list = try shell("/bin/tar", "-tvzf", one.path, "--numeric-owner", in: directory.path).split(separator: "\n")
    let columns = list.map { $0.split(separator: " ", omittingEmptySubsequences: true) }
    #expect(columns.allSatisfy { $0[1] == "0/0" && $0[3] == "1970-01-01" })
    #expect(
      columns.dropLast().map { "\($0[0]) \($0[5])" } == [
        "drwxr-xr-x ./", "-rw-r--r-- ./a", "drwxr-xr-x ./b/", "-rw-r--r-- ./b/c", "-rw-r--r-- ./b/d", "drwxr-xr-x ./bin/",
        "-rwxr-xr-x ./bin/run",
      ])
    #expect(columns.last?.dropFirst(5) == ["./current", "->", "bin/run"])
    try directory.file("two/a", "other")
    #expect(try await pack("two").digest != one.digest)
  }

  @Test func `what was packed before is not compressed again while its archive is there`() async throws {
    try directory.file("one/a", "a")
    let first = try await pack("one")
    #expect(try cacheContent().filter { $0.hasSuffix(".packed") }.count == 1)
    var before = stat()
    #expect(stat(first.path, &before) == 0)
    #expect(try await pack("one") == first)
    try FileManager.default.removeItem(atPath: first.path)
    #expect(try await pack("one") == first)
    var after = stat()
    #expect(stat(first.path, &after) == 0 && after.st_size == before.st_size)
    #expect(try cacheContent().count == 2)
  }

  @Test func `the host's settings for tar and gzip do not reach the artifact`() async throws {
    try directory.file("one/a", "a")
    let plain = try await pack("one")
    setenv("TAR_OPTIONS", "--owner=7", 1)
    defer { unsetenv("TAR_OPTIONS") }
    #expect(try await pack("one") == plain)
  }

  @Test func `links may stay inside, and no link leads out`() async throws {
    try directory.file("good/lib/x/y/f", "1")
    try directory.link("good/lib/x/y/up", to: "..")
    try directory.link("good/dangling", to: "not/yet")
    try directory.link("good/lib/back", to: "../lib/x/y/up/y/f")
    _ = try await pack("good")
    for (name, target) in [("above", "../secret"), ("detour", "lib/x/y/up/../../../up"), ("loop", "loop")] {
      try directory.file("bad-\(name)/lib/x/y/f", "1")
      try directory.link("bad-\(name)/lib/x/y/up", to: "..")
      try directory.link("bad-\(name)/\(name)", to: target)
      let error = try await refusal(.directory("bad-\(name)"))
      #expect(error.message.contains("the link") && error.message.contains("bad-\(name)/\(name)"), "\(error)")
    }
  }

  @Test func `a link to a place of the host is good, packed here or before, and one to a place of this machine is not`() async throws {
    try directory.file("rel/venv/bin/activate", "1")
    try directory.link("rel/venv/bin/python3", to: "/usr/bin/python3")
    try directory.link("rel/venv/bin/python", to: "python3")
    let packed = try await pack("rel")
    #expect(try shell("/bin/tar", "-tvzf", packed.path, in: directory.path).contains("./venv/bin/python3 -> /usr/bin/python3"))
    try shell("/bin/tar", "-czf", "rel.tgz", "-C", "rel", ".", in: directory.path)
    _ = try await packer.pack(.path("rel.tgz"), baseDirectory: directory.path)
    try directory.link("rel/venv/here", to: "\(directory.path)/rel/venv/bin")
    let error = try await refusal(.directory("rel"))
    #expect(
      error.message.contains("rel/venv/here") && error.message.contains("this machine") && error.remedy.contains("ln -sr"), "\(error)")
  }

  @Test func `the link that leads out is the one that is named, in a directory and in an archive`() async throws {
    try directory.file("rel/venv/bin/activate", "1")
    try directory.link("rel/venv/bin/python", to: "python3")
    try directory.link("rel/venv/bin/python3", to: "../../../python3")
    let error = try await refusal(.directory("rel"))
    #expect(error.message.hasSuffix("rel/venv/bin/python3 leads outside the release (to ../../../python3)"), "\(error)")
    try shell("/bin/tar", "-czf", "rel.tgz", "-C", "rel", ".", in: directory.path)
    let archived = try await refusal(.path("rel.tgz"))
    #expect(archived.message.hasSuffix("the link venv/bin/python3 leads outside the release (to ../../../python3)"), "\(archived)")
  }

  @Test func `a tar's listing is read with quotes, arrows and odd bytes in names`() {
    func entry(_ line: String) -> TarEntry? { TarEntry(line: Array(line.utf8)) }
    let odd = entry(#"lrwxrwxrwx 0/0 0 2026-01-01 00:00 "a\" -> \"b\n\303\244" -> "c d""#)
    #expect(odd?.name == "a\" -> \"b\nä" && odd?.target == "c d" && odd?.kind == "l")
    #expect(entry(#"hrw-r--r-- 0/0 0 2026-01-01 00:00 "x" link to "y""#)?.target == "y")
    #expect(entry(#"-rw-r--r-- 0/0 0 2026-01-01 00:00 "x""#)?.name == "x")
    #expect(entry("-rw-r--r-- 0/0 0 2026-01-01 00:00 x") == nil && entry(#"lrwx "x""#) == nil && entry(#"- "x"#) == nil)
  }

  @Test func `an empty directory and a pipe are refused`() async throws {
    try FileManager.default.createDirectory(atPath: directory.path + "/void", withIntermediateDirectories: true)
    #expect(try await refusal(.directory("void")).message.contains("is empty"))
    try directory.file("odd/f", "1")
    try shell("/usr/bin/mkfifo", "odd/pipe", in: directory.path)
    #expect(try await refusal(.directory("odd")).message.contains("odd/pipe is neither a file"))
    #expect(try await refusal(.path("odd/pipe")).message.contains("odd/pipe is not a regular file"))
  }
}
