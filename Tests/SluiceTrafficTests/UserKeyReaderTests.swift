import SluiceTraffic
import Testing

@Suite struct CookieFieldTests {
  static func value(_ field: String, _ name: String = "uid") -> String? {
    let octets = Array(field.utf8)
    return octets.withUnsafeBytes { CookieField.value(of: Array(name.utf8), in: $0) }.map { String(decoding: octets[$0], as: UTF8.self) }
  }

  @Test(arguments: [
    ("uid=7", "7"), ("a=1; uid=7", "7"), ("uid=7; a=1", "7"), ("a=1;uid=7;b=2", "7"), ("  uid=7  ", "7"), ("uid=\"7\"", "7"),
    ("uid=\"a b\"; x=1", "a b"), ("uid=a=b", "a=b"), ("xuid=1; uid=7", "7"), ("uidx=1; uid=7", "7"), ("uid=1; uid=2", "1"),
    ("uid; uid=7", "7"), ("uid=; uid=7", "7"), ("uid=\"\"; uid=7", "7"), (";;;uid=7", "7"), ("uid=\"", "\""), ("a=\"; uid=7", "7"),
    ("uid=ü", "ü"),
  ])
  func `the first cookie of the name that is not empty`(_ field: String, _ expected: String) {
    #expect(CookieFieldTests.value(field) == expected)
  }

  @Test(arguments: ["", ";", "=", "uid", "uid=", "uid=\"\"", "UID=7", "a=uid=7", "u id=7", "uid =7", "uid=  ", "=7", "ui=d=7"])
  func `nothing that only looks like it`(_ field: String) { #expect(CookieFieldTests.value(field) == nil) }
}

@Suite struct QueryParameterTests {
  static func value(_ target: String, _ name: String = "user") -> String? {
    var value = Array("left from before".utf8)
    let found = Array(target.utf8).withUnsafeBytes { QueryParameter.read(Array(name.utf8), target: $0, into: &value) }
    return found ? String(decoding: value, as: UTF8.self) : nil
  }

  @Test(arguments: [
    ("/?user=7", "7"), ("/a/b?x=1&user=7", "7"), ("/?user=7&x=1", "7"), ("/?user=anna%40example.com", "anna@example.com"),
    ("/?user=a+b", "a b"), ("/?user=a%2Bb", "a+b"), ("/?user=%zz%4", "%zz%4"), ("/?user=%C3%BC", "ü"), ("/?user=1&user=2", "1"),
    ("/?user=a=b", "a=b"), ("/?user=a?b", "a?b"), ("/?&&user=7", "7"), ("/?users=1&user=7", "7"),
  ])
  func `the decoded value of the first parameter of the name`(_ target: String, _ expected: String) {
    #expect(QueryParameterTests.value(target) == expected)
  }

  @Test(arguments: ["", "/", "/user=7", "/?", "/?user", "/?user=", "/?User=7", "/?xuser=7", "/?x=user=7", "/?us%65r=7"])
  func `nothing that only looks like it`(_ target: String) { #expect(QueryParameterTests.value(target) == nil) }
}

@Suite struct TokenClaimTests {
  /// Base64url without padding.
  static func encoded(_ octets: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    var text = ""
    for start in stride(from: 0, to: octets.count, by: 3) {
      let group = octets[start..<min(start + 3, octets.count)]
      let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for place in 0...group.count { text.append(digits[bits >> (18 - 6 * place) & 63]) }
    }
    return text
  }

  static func token(_ payload: String) -> String { "eyJhbGciOiJub25lIn0.\(encoded(Array(payload.utf8))).c2ln" }

  static func claim(token: String, _ name: String = "sub") -> String? {
    var claim = TokenClaim()
    var value = Array("left from before".utf8)
    let found = Array(token.utf8).withUnsafeBytes { claim.read(Array(name.utf8), token: $0, into: &value) }
    return found ? String(decoding: value, as: UTF8.self) : nil
  }

  @Test(arguments: [
    (#"{"sub":"anna"}"#, "anna"), (#" { "iss" : "x" , "sub" : "anna" } "#, "anna"), (#"{"sub":42}"#, "42"),
    (#"{"sub":-1.5e+3}"#, "-1.5e+3"),
    (#"{"sub":"a\"\\\/\b\f\n\r\tb"}"#, "a\"\\/\u{8}\u{c}\n\r\tb"), (#"{"sub":"\u00fc"}"#, "ü"), (#"{"sub":"\ud83d\ude42"}"#, "🙂"),
    (#"{"s\u0075b":"anna"}"#, "anna"), (#"{"sub":"ü🙂"}"#, "ü🙂"), (#"{"x":{"sub":"no","y":[1,{},[]]},"sub":"anna"}"#, "anna"),
    (#"{"a":true,"b":false,"c":null,"d":0,"e":[ ],"sub":"anna"}"#, "anna"), (#"{"sub":0}"#, "0"), (#"{"sub":"sub"}"#, "sub"),
  ])
  func `a string or number at the top level`(_ payload: String, _ expected: String) {
    #expect(TokenClaimTests.claim(token: TokenClaimTests.token(payload)) == expected)
  }

  @Test(arguments: [
    "", "null", "7", "[]", "[\"sub\"]", "{}", #"{"sub":""}"#, #"{"sub":true}"#, #"{"sub":null}"#, #"{"sub":{}}"#, #"{"sub":["a"]}"#,
    #"{"sub":"a","sub":"b"}"#, #"{"x":{"sub":"a"}}"#, #"{"sub":"a""#, #"{"sub":"a"} x"#, #"{"sub":"a",}"#, #"{"sub":"a"}}"#, #"{sub:"a"}"#,
    #"{"sub":'a'}"#, #"{"sub":01}"#, #"{"sub":1.}"#, #"{"sub":.5}"#, #"{"sub":+1}"#, #"{"sub":1e}"#, #"{"sub":"\x"}"#, #"{"sub":"\u12"}"#,
    #"{"sub":"\ud83d"}"#, #"{"sub":"\ude42\ud83d"}"#, "{\"sub\":\"a\nb\"}", #"{"sub":"a" "b":1}"#, #"{"sub"}"#, #"{"x":tru,"sub":"a"}"#,
    #"{"sub":"a","x":"#,
  ])
  func `no claim where it is another, or the text is not well-formed`(_ payload: String) {
    #expect(TokenClaimTests.claim(token: TokenClaimTests.token(payload)) == nil)
  }

  @Test func `octets that are no UTF-8 are no JSON, wherever they stand`() {
    for octets: [UInt8] in [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xC0, 0xAF]] {
      let claim = Array(#"{"sub":"a"#.utf8) + octets + Array(#""}"#.utf8)
      let other = Array(#"{"x":""#.utf8) + octets + Array(#"","sub":"a"}"#.utf8)
      for payload in [claim, other] { #expect(TokenClaimTests.claim(token: "h.\(TokenClaimTests.encoded(payload)).s") == nil) }
    }
    #expect(TokenClaimTests.claim(token: TokenClaimTests.token(#"{"x":"ü","sub":"é🙂"}"#)) == "é🙂")
  }

  @Test func `a token of another form has no claim`() {
    let payload = TokenClaimTests.encoded(Array(#"{"sub":"anna"}"#.utf8))
    #expect(TokenClaimTests.claim(token: "h.\(payload).") == "anna")
    for token in ["", ".", "..", payload, "h.\(payload)", "h.\(payload).s.x", "h.\(payload)=.s", "h.\(payload)A.s", "h. \(payload).s"] {
      #expect(TokenClaimTests.claim(token: token) == nil, "\(token)")
    }
    let long = String(repeating: "x", count: TokenClaim.lengthLimit)
    #expect(TokenClaimTests.claim(token: TokenClaimTests.token(#"{"sub":"anna","x":"\#(long)"}"#)) == nil)
    let nested = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
    #expect(TokenClaimTests.claim(token: TokenClaimTests.token(#"{"sub":"anna","x":\#(nested)}"#)) == nil)
  }

  @Test func `Authorization holds a token only as Bearer`() {
    func token(_ field: String) -> String? {
      let octets = Array(field.utf8)
      return octets.withUnsafeBytes(TokenClaim.bearer).map { String(decoding: octets[$0], as: UTF8.self) }
    }
    #expect(token("Bearer a.b.c") == "a.b.c")
    #expect(token("bEARER  a.b.c") == "a.b.c")
    for field in ["", "Bearer", "Bearer ", "Basic abc", "Bearera.b.c", "Bearer\ta"] { #expect(token(field) == nil) }
  }
}

@Suite struct OverrideValueTests {
  @Test func `a side and a secret, and no other form`() {
    func read(_ field: String) -> String? {
      let octets = Array(field.utf8)
      return octets.withUnsafeBytes { OverrideValue($0) }.map { "\($0.side) \(String(decoding: octets[$0.secret], as: UTF8.self))" }
    }
    #expect(read("canary s3cret") == "canary s3cret")
    #expect(read("stable a b") == "stable a b")
    for field in ["", "canary", "canary ", "stable\tx", "Canary x", "other x", "canaryx y", "xcanary y"] { #expect(read(field) == nil) }
    #expect(read("canary " + String(repeating: "x", count: OverrideValue.secretLimit)) != nil)
    #expect(read("canary " + String(repeating: "x", count: OverrideValue.secretLimit + 1)) == nil)
  }
}

/// Whatever octets a client sends: no reader crashes, and what it finds lies within what it was given.
@Suite struct ReaderFuzzTests {
  /// Random octets, with those that mean something more often than others.
  static func octets(_ random: inout Seeded, alphabet: String) -> [UInt8] {
    let frequent = Array(alphabet.utf8)
    return (0..<Int(random.next() % 80)).map { _ in
      random.next() % 4 == 0 ? UInt8(truncatingIfNeeded: random.next()) : frequent[Int(random.next() % UInt64(frequent.count))]
    }
  }

  @Test func `random octets never crash a reader`() {
    var random = Seeded(11)
    var claim = TokenClaim()
    var value: [UInt8] = []
    for _ in 0..<100_000 {
      let cookies = ReaderFuzzTests.octets(&random, alphabet: "uid=;\" ,")
      let found = cookies.withUnsafeBytes { CookieField.value(of: Array("uid".utf8), in: $0) }
      if let found { #expect(!found.isEmpty && cookies.indices.contains(found.lowerBound) && found.upperBound <= cookies.count) }
      let target = ReaderFuzzTests.octets(&random, alphabet: "?u=&%+3a")
      if target.withUnsafeBytes({ QueryParameter.read(Array("u".utf8), target: $0, into: &value) }) {
        #expect(!value.isEmpty && value.count <= target.count)
      }
      let json = ReaderFuzzTests.octets(&random, alphabet: "{}[]\":,\\u0sub1e-.tfn ")
      let token = TokenClaimTests.token(String(decoding: json, as: UTF8.self))
      if Array(token.utf8).withUnsafeBytes({ claim.read(Array("sub".utf8), token: $0, into: &value) }) { #expect(!value.isEmpty) }
      let raw = ReaderFuzzTests.octets(&random, alphabet: "..-_eyJhbG")
      #expect(!raw.withUnsafeBytes { claim.read(Array("sub".utf8), token: $0, into: &value) } || !value.isEmpty)
      _ = raw.withUnsafeBytes(TokenClaim.bearer)
      _ = raw.withUnsafeBytes { OverrideValue($0) }
    }
  }

  @Test func `a well-formed token with one octet changed never crashes, and gives the claim or nothing`() {
    var random = Seeded(12)
    var claim = TokenClaim()
    var value: [UInt8] = []
    let payload = Array(#"{"iss":"x","n":[1,2.5e3,{"a":null}],"sub":"an\u006ea","t":true}"#.utf8)
    var found = 0
    for _ in 0..<50_000 {
      var changed = payload
      changed[Int(random.next() % UInt64(changed.count))] = UInt8(truncatingIfNeeded: random.next())
      let token = Array("h.\(TokenClaimTests.encoded(changed)).s".utf8)
      guard token.withUnsafeBytes({ claim.read(Array("sub".utf8), token: $0, into: &value) }) else { continue }
      found += 1
      #expect(String(validating: changed, as: UTF8.self) != nil)
    }
    // Most changes break the grammar, the encoding or the claim's name; some only change a value.
    #expect(found > 1_000 && found < 45_000)
  }
}
