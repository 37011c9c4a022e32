import ArgumentParser
import Foundation
import SluiceModel
import SluiceStore

/// Where manifests and state are.
struct CommonOptions: ParsableArguments {
  @Option(name: [.customShort("f"), .customLong("file")], parsing: .upToNextOption, help: "Manifest files or directories.")
  var files: [String] = []

  @Option(help: "The directory of Sluice's state. Default: $XDG_STATE_HOME/sluice, or ~/.local/state/sluice.")
  var state: String?

  @Option(help: "The fleet, where the state knows several.")
  var fleet: String?

  var stateDirectory: StateDirectory {
    state.map { StateDirectory($0) } ?? StateDirectory.standard(environment: ProcessInfo.processInfo.environment)
  }
}

/// The same for commands whose `-f` is `--follow`, as in `tail`: manifests are named by `--file`.
struct FollowerOptions: ParsableArguments {
  @Option(name: .customLong("file"), parsing: .upToNextOption, help: "Manifest files or directories.")
  var files: [String] = []

  @Option(help: "The directory of Sluice's state. Default: $XDG_STATE_HOME/sluice, or ~/.local/state/sluice.")
  var state: String?

  @Option(help: "The fleet, where the state knows several.")
  var fleet: String?

  var common: CommonOptions {
    var common = CommonOptions()
    common.files = files
    common.state = state
    common.fleet = fleet
    return common
  }
}

/// For commands that only read.
struct OutputOptions: ParsableArguments {
  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

  @Option(help: "text or json.")
  var output: Format = .text

  /// Prints the value as JSON with sorted keys.
  func printJSON(_ value: some Encodable) throws { Console().result(try json(value)) }

  /// The encoder leaves some characters as they are that no terminal should get; in JSON they stand in strings only, where their escape says the same.
  private static func plain(_ json: String) -> String {
    if PlainText.isClean(json) { return json }
    var result = String.UnicodeScalarView()
    for scalar in json.unicodeScalars {
      if PlainText.isClean(String(scalar)) {
        result.append(scalar)
      } else {
        for unit in String(scalar).utf16 {
          let digits = String(unit, radix: 16)
          result.append(contentsOf: ("\\u" + String(repeating: "0", count: 4 - digits.count) + digits).unicodeScalars)
        }
      }
    }
    return String(result)
  }

  /// The value as JSON with sorted keys.
  func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return Self.plain(String(decoding: try encoder.encode(value), as: UTF8.self))
  }
}

/// For commands that change something.
struct ChangeOptions: ParsableArguments {
  @Flag(help: "Do not ask.")
  var yes = false

  @Flag(help: "Take the service from a controller that is believed dead.")
  var takeOver = false

  @Flag(help: "Show every attempt, and count the SSH commands.")
  var verbose = false

  @Option(help: "How many seconds to stay at a gate that may open by itself, such as a gateway that does not answer; then exit 3.")
  var patience = 60

  func validate() throws {
    if !(0...86_400).contains(patience) { throw ValidationError("--patience is 0 to 86400 seconds") }
  }

  /// Asks on a terminal; elsewhere `--yes` must have been said.
  func confirm(_ question: String, _ console: Console, declined: String = "nothing was done") throws {
    if yes { return }
    guard console.asksPeople else {
      console.complain("\(question) This is not a terminal: say --yes to go ahead.")
      throw ExitStatus.usage
    }
    if console.confirms(question) { return }
    console.say(declined)
    throw ExitStatus.failed
  }
}

/// For commands that steer what runs already: they are the brake, and never ask. `--yes` is taken all the same, for scripts that say it everywhere.
struct SteeringOptions: ParsableArguments {
  @Flag(help: .hidden)
  var yes = false

  @Flag(help: "Take the service from a controller that is believed dead.")
  var takeOver = false

  @Flag(help: "Show every attempt, and count the SSH commands.")
  var verbose = false

  @Option(help: "How many seconds to stay at a gate that may open by itself, such as a gateway that does not answer; then exit 3.")
  var patience = 60

  func validate() throws { try change.validate() }

  /// The same as options of a command that was agreed to.
  var change: ChangeOptions {
    var change = ChangeOptions()
    change.yes = true
    change.takeOver = takeOver
    change.verbose = verbose
    change.patience = patience
    return change
  }
}
