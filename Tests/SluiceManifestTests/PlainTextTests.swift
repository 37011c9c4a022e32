import SluiceModel
import Testing

@Suite("Text from outside")
struct PlainTextTests {
  @Test(
    "Nothing in it does anything to a terminal",
    arguments: [
      ("plain, äöü, 日本, 🙂 and\ttabs\nand lines", "plain, äöü, 日本, 🙂 and\ttabs\nand lines"),
      ("\u{1B}[31mred\u{1B}[0m", "red"), ("\u{1B}[2J\u{1B}[1;1Hfake", "fake"), ("\u{1B}]0;title\u{07}x", "x"),
      ("\u{1B}]8;;http://x\u{1B}\\link\u{1B}]8;;\u{1B}\\", "link"), ("\u{1B}Pdevice\u{9C}x", "x"), ("\u{1B}c", ""), ("\u{1B}(Bx", "x"),
      ("\u{9B}31mred", "red"), ("\u{9D}0;t\u{9C}x", "x"), ("bell\u{07}", "bell^G"), ("\u{08}\u{7F}\u{00}", "^H^?^@"), ("a\rb", "a^Mb"),
      ("a\r\nb\r", "a\nb"), ("\u{85}\u{84}", "\\u{85}\\u{84}"), ("a\u{202E}b\u{2066}c\u{200F}", "a\\u{202e}b\\u{2066}c\\u{200f}"),
      ("\u{2028}\u{FEFF}\u{E0041}", "\\u{2028}\\u{feff}\\u{e0041}"), ("\u{1B}", "^["), ("\u{1B}]never ends", "^[]never ends"),
      ("\u{1B}]0;a\nb\u{07}", "^[]0;a\nb^G"), ("\u{1B}[31", "^[[31"), ("\u{1B}\u{1B}[31mx", "^[x"), ("\u{1B}ä", "^[ä"),
    ])
  func clean(text: String, expected: String) {
    #expect(PlainText.clean(text) == expected)
    #expect(PlainText.isClean(PlainText.clean(text)))
    #expect(PlainText.isClean(text) == (text == expected))
  }

  @Test("Whatever it holds, what comes out is plain, and cleaning it again changes nothing")
  func property() {
    var generator = Numbers(state: 42)
    let pool: [Unicode.Scalar] = [
      "\u{1B}", "[", "]", "\\", "\u{07}", "\u{9B}", "\u{9C}", "\u{90}", "m", "1", ";", "\n", "\r", "a", "ä", "\u{202E}", "\u{7F}",
    ]
    for _ in 0..<2_000 {
      var text = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 0...12, using: &generator) { text.append(pool.randomElement(using: &generator)!) }
      let cleaned = PlainText.clean(String(text))
      let isPlain = cleaned.unicodeScalars.allSatisfy {
        $0 == "\n" || $0 == "\t" || ($0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0.value != 0x202E)
      }
      #expect(isPlain && PlainText.clean(cleaned) == cleaned, "\(text.map { String($0.value, radix: 16) })")
    }
  }

  private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ (state >> 29)
    }
  }
}
