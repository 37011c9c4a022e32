import SluiceModel
import SluiceRollout
import Testing

/// What runs on an operator's machine stays there: copies hold its hash.
@Suite struct LocalProgramTests {
  private func hash(_ bytes: [UInt8]) -> Digest {
    Digest("\(bytes.reduce(14_695_981_039_346_656_037 as UInt64) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 })")
  }

  private func policy(at folder: String) -> ServicePolicy {
    var policy = ServicePolicy(name: "shop", fleet: "prod", replicas: 3)
    policy.hooks = [.preDeploy: "\(folder)/hooks/migrate", .failed: "\(folder)/hooks/tell"]
    policy.secrets = [
      "A": .env("SHOP_A"), "B": .file("\(folder)/secrets/b"), "C": .command(["vault", "read", "shop"], directory: folder),
    ]
    let checks = [
      AnalysisCheck(name: "orders", kind: .command(["./orders"], directory: folder)),
      AnalysisCheck(name: "errors", kind: .http(url: "http://metrics/q", json: "$.value", equals: "0")),
    ]
    policy.strategy = .canary(
      Canary(
        steps: [CanaryStep(users: BasisPoints(100), analysis: Analysis(checks: checks))],
        override: TesterHeader(header: "X-Test", secret: .file("\(folder)/tester")), analysis: Analysis(checks: checks)))
    return policy
  }

  private func record(at folder: String) -> ServiceRecord {
    var record = ServiceRecord(policy: policy(at: folder))
    record.rollout = Rollout(
      number: 1, cause: "apply", by: "anna", startedAt: WallTime(milliseconds: 0), goal: Goal(release: nil, replicas: 3),
      origin: Goal(release: nil, replicas: 0), now: .zero)
    record.rollout?.formerPolicy = policy(at: folder)
    return record
  }

  @Test func `nothing that runs here, or is read here, is in a copy`() {
    let copied = record(at: "/home/anna/shop").withoutLocalPrograms(hash)
    let text = "\(copied)"
    for word in ["/home/anna", "hooks/migrate", "SHOP_A", "vault", "./orders", "http://metrics", "tester"] {
      #expect(!text.contains(word), "\(word)")
    }
    #expect(copied.policy.unknownPrograms.count == 2 + 2 * 2 + 3)
    #expect(copied.withoutLocalPrograms(hash) == copied)
  }

  @Test func `the manifests of another checkout give back what has the same hash`() {
    let copied = record(at: "/home/anna/shop").withoutLocalPrograms(hash)
    let there = copied.withLocalPrograms(of: [policy(at: "/srv/ben")], hash)
    #expect(there == record(at: "/srv/ben"))
    #expect(there.unknownPrograms.isEmpty)
    #expect(copied.withLocalPrograms(of: [], hash) == copied)
    // What stands in a copy is no source for another.
    #expect(copied.withLocalPrograms(of: [copied.policy], hash) == copied)
  }

  @Test func `what is another program stays unknown, and is asked for by name`() {
    var other = policy(at: "/srv/ben")
    other.hooks[.preDeploy] = "/srv/ben/hooks/drop-tables"
    let there = record(at: "/home/anna/shop").withoutLocalPrograms(hash).withLocalPrograms(of: [other], hash)
    #expect(there.unknownPrograms.map(\.name) == ["the hook preDeploy"])
    let refusal = there.programNeeded(by: .resume)
    #expect(refusal?.message.contains("the hook preDeploy of shop is not known on this machine") == true)
    #expect(refusal?.remedy == "give the manifest that names it: sluice rollout resume shop -f PATH")
    for verb in [Command.Verb.rollback(to: nil), .restart(instance: nil), .scale(3), .start, .promote(full: true)] {
      #expect(there.programNeeded(by: verb) != nil, "\(verb)")
    }
    for verb in [Command.Verb.abort, .pause, .stop, .unfreeze, .interrupt] { #expect(there.programNeeded(by: verb) == nil, "\(verb)") }
  }

  @Test func `a hook that only tells somebody holds nothing up`() {
    var other = policy(at: "/srv/ben")
    other.hooks[.failed] = nil
    let there = record(at: "/home/anna/shop").withoutLocalPrograms(hash).withLocalPrograms(of: [other], hash)
    #expect(there.unknownPrograms.map(\.name) == ["the hook failed"])
    #expect(there.programNeeded(by: .resume) == nil)
  }
}
