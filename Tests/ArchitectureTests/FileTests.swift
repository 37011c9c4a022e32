import Foundation
import Testing

@Suite struct FileTests {
  @Test(arguments: ["Sources", "Tests"])
  func `no Swift file is longer than 450 lines`(_ folder: String) throws {
    for file in try Checkout.swiftFiles(folder) {
      let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false).count
      if lines > 451 { Issue.record("\(file.path) has \(lines - 1) lines") }
    }
  }

  /// Swift 6.3 gives them out of the group with another first part in optimised code: twice that has crashed a command.
  @Test(arguments: ["Sources", "Tests"])
  func `no task group has pairs with a result`(_ folder: String) throws {
    let pattern = #"TaskGroup\s*\(\s*of:\s*\([^)]*\bResult<"#
    let pair = "(Int, " + "Result<Int, any Error>)"
    #expect("withTaskGroup(of: \(pair).self) {".range(of: pattern, options: .regularExpression) != nil)
    for file in try Checkout.swiftFiles(folder) {
      for (number, line) in file.code.enumerated() where line.range(of: pattern, options: .regularExpression) != nil {
        Issue.record("\(file.path):\(number + 1): give it a struct of its own: \(line.trimmingCharacters(in: .whitespaces))")
      }
    }
  }

  @Test func `the top level of the repository holds only what the design names`() throws {
    let agreed: Set = ["Package.swift", "Package.resolved", "Sources", "Tests", "manifests", "hooks", "README.md", "LICENSE"]
    for entry in try Checkout.entries("") where !entry.hasPrefix(".") && !agreed.contains(entry) {
      Issue.record("\(entry) does not belong at the top level (DESIGN section 2)")
    }
  }

  @Test func `every test target has its folder under Tests, and every folder of tests is a target`() throws {
    let manifest = try String(contentsOf: Checkout.root.appending(path: "Package.swift"), encoding: .utf8)
    for entry in try Checkout.entries("Tests") where entry.hasSuffix("Tests") {
      let holds = try !Checkout.swiftFiles("Tests/\(entry)").isEmpty
      if holds, !manifest.contains("\"\(entry)\"") { Issue.record("Tests/\(entry) is in no target of Package.swift: it never runs") }
    }
  }
}
