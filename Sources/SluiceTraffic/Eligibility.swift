public import SluiceModel

/// Which targets of a route may get requests: the serving and healthy ones, or, in panic, all serving ones that were healthy once.
public struct Eligibility: Hashable, Sendable {
  /// One target's part in the decision.
  public struct Candidate: Hashable, Sendable {
    public var state: TargetMachine.State
    public var health: HealthMachine.Health
    public var wasHealthy: Bool

    public init(state: TargetMachine.State, health: HealthMachine.Health, wasHealthy: Bool) {
      self.state = state
      self.health = health
      self.wasHealthy = wasHealthy
    }
  }

  /// By index of the candidates.
  public var eligible: [Bool]
  /// Whether so many fail together that health is left out of the decision.
  public var panicking: Bool
  /// Whether some active target has not been judged yet: a request may wait a moment for it.
  public var undecided: Bool

  /// Decides over all targets of a route. Panic begins when the unhealthy ones among the serving that were healthy once reach `threshold`
  /// (zero: never) and are more than one, since one that fails alone is its own fault.
  public init(_ candidates: [Candidate], threshold: BasisPoints) {
    let known = candidates.filter { $0.state == .serving && $0.wasHealthy }
    let failing = known.count { $0.health == .unhealthy }
    let panicking = threshold > .zero && failing > 1 && failing * 10_000 >= threshold.value * known.count
    self.panicking = panicking
    eligible = candidates.map { $0.state == .serving && ($0.health == .healthy || (panicking && $0.wasHealthy)) }
    undecided = candidates.contains { ($0.state == .serving || $0.state == .warming) && $0.health == .unknown }
  }
}
