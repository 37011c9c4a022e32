package import SluiceRollout

extension Rehearsal {
  /// Runs several rehearsals side by side, each with its command: none sees what another plans. The answers are in their order.
  package static func run(_ rehearsals: [(Rehearsal, Command)]) async -> [Result<Plan, Refusal>] {
    await withTaskGroup { group in
      for (index, (rehearsal, command)) in rehearsals.enumerated() {
        group.addTask {
          var rehearsal = rehearsal
          return (index, Result { () throws(Refusal) in try rehearsal.run(command) })
        }
      }
      var plans = [Result<Plan, Refusal>?](repeating: nil, count: rehearsals.count)
      for await (index, plan) in group { plans[index] = plan }
      return plans.compactMap(\.self)
    }
  }
}
