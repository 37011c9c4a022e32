import NIOCore
import SluiceLoad
import Testing

struct LoadPlanTests {
  @Test func `the checksum has its published values`() {
    // The test vectors of draft-eastlake-fnv, for FNV-1a with 64 bits.
    #expect(Checksum.hexadecimal(ByteBuffer()) == "cbf29ce484222325")
    #expect(Checksum.hexadecimal(ByteBuffer(string: "a")) == "af63dc4c8601ec8c")
    #expect(Checksum.hexadecimal(ByteBuffer(string: "foobar")) == "85944171f73967e8")
  }

  @Test func `random numbers are those of SplitMix64`() {
    var random = Random(seed: 1_234_567)
    #expect((0..<3).map { _ in random.next() } == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423])
    let places = (0..<1000).map { _ in random.below(7) }
    #expect(Set(places) == Set(0..<7))
  }

  @Test(arguments: ["", "get", "get=", "get=-1", "get=0", "get=1,", "get=1,get=2", "got=1", "get=1.5", "get=1=2"])
  func `a mix that says nothing is none`(text: String) {
    #expect(Mix(text) == nil)
  }

  @Test func `a mix is kept to`() throws {
    let mix = try #require(Mix("get=90,post=0,ws=10"))
    var random = Random(seed: 1)
    var counts: [RequestKind: Int] = [:]
    for _ in 0..<100_000 { counts[mix.pick(&random), default: 0] += 1 }
    #expect(counts.keys.count == 2)
    // Five standard deviations.
    #expect(abs((counts[.ws] ?? 0) - 10_000) < 475)
    #expect(mix.part(long: true) == Mix("ws=10"))
    #expect(try #require(Mix("get=1")).part(long: true) == nil)
  }

  @Test func `a plan without meaning is refused`() throws {
    let good = LoadPlan(targets: [LoadPlan.Target(host: "127.0.0.1", port: 1)])
    try good.validate()
    let changes: [(inout LoadPlan) -> Void] = [
      { $0.targets = [] }, { $0.clients = 0 }, { $0.newConnectionShare = 10_001 }, { $0.rate = -1 }, { $0.duration = .zero },
      { $0.requests = 0 },
      { $0.users = 0 }, { $0.loops = 0 }, { $0.postBytes = 7 }, { $0.uploadBytes = 7 }, { $0.frames = 0 }, { $0.timeout = .zero },
      { $0.slow = .milliseconds(-1) }, { $0.hostHeader = "a\r\nb" }, { $0.longClients = 201 },
      {
        $0.longClients = 1
        $0.mix = .standard.part(long: false) ?? .standard
      },
    ]
    for (number, change) in changes.enumerated() {
      var plan = good
      change(&plan)
      #expect(throws: LoadPlan.Invalid.self, "change \(number)") { try plan.validate() }
    }
  }

  @Test func `a chunked upload and one of known length carry the same kind of body`() throws {
    var plan = LoadPlan(targets: [LoadPlan.Target(host: "::1", port: 80)])
    plan.uploadBytes = 1001
    plan.uploadPieces = 4
    let factory = RequestFactory(plan)
    var random = Random(seed: 3)
    var framings: Set<Bool> = []
    for user in 0..<20 {
      let request = factory.request(.upload, target: 0, user: user, &random)
      let head = String(buffer: request.first)
      #expect(head.contains("Host: [::1]:80\r\nCookie: uid=u\(user)\r\n\r\n"))
      let chunked = head.contains("Transfer-Encoding: chunked")
      framings.insert(chunked)
      #expect(request.pieces.count == 4)
      #expect(request.exchange.unsent == 4)
      let length = request.pieces.reduce(0) { $0 + $1.readableBytes }
      // Chunks: three of 251 and one of 248 bytes, sizes in two digits, CRLFs, and the last chunk's five bytes.
      #expect(length == (chunked ? 1001 + 4 * 6 + 5 : 1001))
    }
    #expect(framings.count == 2)
  }
}
