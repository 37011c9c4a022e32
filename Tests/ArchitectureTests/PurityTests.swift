import Foundation
import Testing

/// Nothing in Model, Traffic, Rollout and Engine reads a clock, a file, a socket or a random number, or goes through a Dictionary or Set in
/// hash order (DESIGN section 2): the same input gives the same decision in every process.
@Suite struct PurityTests {
  static let targets = ["SluiceModel", "SluiceTraffic", "SluiceRollout", "SluiceEngine", "SluiceSimulator"]

  /// Words that no pure target may use, and why.
  static let banned: [(pattern: String, why: String)] = [
    (#"\b(ContinuousClock|SuspendingClock|DispatchTime|clock_gettime|gettimeofday)\b"#, "reads a clock"),
    (#"\bDate\s*\("#, "reads a clock"),
    (#"\bTask\.sleep\b"#, "waits by a clock"),
    (#"\b(SystemRandomNumberGenerator|arc4random|randomElement\s*\(\s*\)|shuffled\s*\(\s*\)|shuffle\s*\(\s*\))"#, "is random"),
    (#"\.random\s*\("#, "is random"),
    (#"\bUUID\b"#, "is random"),
    (#"\b(FileManager|FileHandle|fopen|open\s*\(\s*"|socket\s*\(|getenv|ProcessInfo|CommandLine)\b"#, "reaches the world"),
    (#"\bhashValue\b"#, "differs from process to process"),
    (#"\bprint\s*\("#, "writes to the terminal"),
  ]

  /// `sluice-simulate` and the shell around the engine may do what the machine may not, in these files only.
  static let shells = ["Sources/SluiceEngine/RunnerSession.swift", "Sources/SluiceEngine/FleetRunner.swift"]

  @Test(arguments: targets)
  func `no clock, random number, file or socket reaches a pure target`(_ target: String) throws {
    for file in try Checkout.swiftFiles("Sources/\(target)") {
      for (number, line) in file.code.enumerated() {
        for rule in PurityTests.banned where line.range(of: rule.pattern, options: .regularExpression) != nil {
          Issue.record("\(file.path):\(number + 1) \(rule.why): \(line.trimmingCharacters(in: .whitespaces))")
        }
      }
    }
  }

  @Test(arguments: targets)
  func `no Dictionary or Set is gone through in hash order`(_ target: String) throws {
    let files = try Checkout.swiftFiles("Sources/\(target)")
    for file in files where !PurityTests.shells.contains(file.path) {
      // What an extension in a file of its own goes through is declared beside the type: `Name+Part.swift` in `Name.swift`.
      let type = file.path.split(separator: "+")[0]
      let unordered = HashOrder.names(files.filter { $0.path == file.path || $0.path == type + ".swift" }.map(\.code))
      for finding in HashOrder.findings(file.code, unordered: unordered) {
        Issue.record("\(file.path):\(finding.line) goes through a Dictionary or Set in hash order: \(finding.text)")
      }
    }
  }

  @Test func `the scan sees what it is to see`() {
    let bad = [
      "  var hosts: [HostName: Host] = [:]", "  let marks: Set<Int>", "let gone = Set(replacements)", "for host in hosts {",
      "hosts.map { $0 }",
      "for name in hosts.keys {", "marks.first", "for number in gone {", "let all = Array(marks)",
    ]
    let names = HashOrder.names([bad])
    #expect(names.isSuperset(of: ["hosts", "marks", "gone"]))
    #expect(HashOrder.findings(bad, unordered: names).map(\.line) == [4, 5, 6, 7, 8, 9])
    let good = [
      "for host in hosts.keys.sorted() {", "if marks.contains(3) {", "let one = hosts[name]", "hosts.values.sorted { $0.name < $1.name }",
      "hosts.mapValues(\\.count)", "marks.isEmpty", "hosts.values.contains { $0.isUp }", "hosts.allSatisfy { $0.value }",
    ]
    #expect(HashOrder.findings(good, unordered: names).isEmpty)
    #expect(CodeText.strip("let a = \"for x in hosts\" // hosts.map") == ["let a = \"\" "])
    #expect(CodeText.strip("let a = \"\\(name(b))\" + c") == ["let a = \"\" + c"])
  }
}

/// Finds where the order of a Dictionary or Set could reach a result. It goes by the names that the target declares with such types.
enum HashOrder {
  struct Finding {
    var line: Int
    var text: String
  }

  /// Names declared as Dictionary or Set in these files.
  static func names(_ files: [[String]]) -> Set<String> {
    let declarations = [
      #"\b(?:var|let)\s+(\w+)\s*:\s*\[[^\]\[(]+:[^\]]+\]"#, #"\b(?:var|let)\s+(\w+)\s*:\s*Set<"#, #"\b(?:var|let)\s+(\w+)\s*=\s*Set[<(]"#,
      #"\b(?:var|let)\s+(\w+)\s*=\s*Dictionary[<(]"#, #"\b(?:var|let)\s+(\w+)\s*:\s*Dictionary<"#,
    ]
    var names: Set<String> = []
    for line in files.joined() {
      for pattern in declarations {
        guard let regex = try? NSRegularExpression(pattern: pattern) else { continue }
        let whole = NSRange(line.startIndex..., in: line)
        for match in regex.matches(in: line, range: whole) {
          if let range = Range(match.range(at: 1), in: line) { names.insert(String(line[range])) }
        }
      }
    }
    // Names that are also declared as arrays somewhere are told apart by the lines they are used on: see `findings`.
    return names.subtracting(arrays(files))
  }

  /// Names that are also declared as arrays: the scan cannot tell them apart, and leaves them to the comparison of two processes' hashes.
  private static func arrays(_ files: [[String]]) -> Set<String> {
    var names: Set<String> = []
    guard let regex = try? NSRegularExpression(pattern: #"\b(?:var|let)\s+(\w+)\s*(?::\s*\[[^:\]]+\]|=\s*\[\w+\]\(\))"#) else {
      return names
    }
    for line in files.joined() {
      for match in regex.matches(in: line, range: NSRange(line.startIndex..., in: line)) {
        if let range = Range(match.range(at: 1), in: line) { names.insert(String(line[range])) }
      }
    }
    return names
  }

  static func findings(_ lines: [String], unordered: Set<String>) -> [Finding] {
    var found: [Finding] = []
    for (number, line) in lines.enumerated() where isFinding(line, unordered) {
      found.append(Finding(line: number + 1, text: line.trimmingCharacters(in: .whitespaces)))
    }
    return found
  }

  /// What depends on order: iteration, mapping, `first`, `Array(…)`; also by `.keys` and `.values`. `sorted`, `contains`, `allSatisfy`, `min`
  /// and counts do not.
  private static func isFinding(_ line: String, _ unordered: Set<String>) -> Bool {
    let ordered = #"\.(sorted|contains|allSatisfy|count|isEmpty|mapValues|max|min)\b"#
    for name in unordered.sorted() {
      let uses = [
        #"\bin\s+(?:self\.)?\#(name)(?:\.keys|\.values)?\s*(?:\{|where\b|$)"#,
        #"(?<!\.)\b\#(name)(?:\.keys|\.values)?\.(?:map|compactMap|flatMap|filter|forEach|reduce|first|prefix|joined|lazy|enumerated)\b"#,
        #"\b(?:Array|\[\w+\])\(\#(name)(?:\.keys|\.values)?\)"#,
      ]
      for use in uses {
        guard let range = line.range(of: use, options: .regularExpression) else { continue }
        // Sorted afterwards on the same line, or only counted.
        if line[range.upperBound...].range(of: ordered, options: .regularExpression) == nil { return true }
      }
    }
    return false
  }
}
