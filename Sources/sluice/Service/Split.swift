import ArgumentParser
import SluiceModel
import SluiceRollout

/// `sluice split SERVICE --users 5%`
struct Split: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Give the new release of a canary another share of users, by hand.",
    discussion:
      "The canary grows where the share needs more instances. It stays there until `sluice rollout promote` goes on with its steps.")

  @Argument var service: String
  @Option(help: "The share, such as 5% or 0.5%.")
  var users: Share
  @OptionGroup var common: CommonOptions
  @OptionGroup var steering: SteeringOptions

  func run() async throws {
    let action = ServiceAction(
      service: ServiceName(service), common: common, change: steering.change, words: "split \(service) --users \(users.points)",
      goesBack: false, reachesRunning: true)
    try await action.run(.split(users.points))
  }
}

/// A share as it is typed.
struct Share: ExpressibleByArgument {
  let points: BasisPoints

  init?(argument: String) {
    guard argument.hasSuffix("%"), let percent = Double(argument.dropLast()), (0...100).contains(percent) else { return nil }
    points = BasisPoints(Int((percent * 100).rounded()))
  }
}
