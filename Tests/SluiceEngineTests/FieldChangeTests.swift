import SluiceModel
import Testing

/// What a plan tells of the differences between two manifests.
@Suite struct FieldChangeTests {
  @Test func `the same is no change`() {
    #expect(FieldChange.between(spec(1), and: spec(1)).isEmpty)
    #expect(FieldChange.between(shop(1), and: shop(1)).isEmpty)
  }

  @Test func `values of names and forms that tell a secret are not told, on either side`() {
    let old = spec(1) { $0.run.env = ["A_PASSWORD": "one", "URL": "redis://u:one@host"] }
    let new = spec(1) {
      $0.run.env = ["A_PASSWORD": "two", "URL": "redis://host"]
      $0.run.command = ["bin/shop", "--token=one"]
    }
    let changes = FieldChange.between(old, and: new)
    #expect(changes.map(\.field) == ["run.command", "run.env.A_PASSWORD", "run.env.URL"])
    #expect(changes.allSatisfy { $0.isSecret && $0.before == nil && $0.after == nil })
  }

  @Test func `what comes and what goes is told`() {
    let old = spec(1) { $0.run.env = ["A": "1"] }
    let new = spec(1) { $0.run.env = ["B": "2"] }
    #expect(
      FieldChange.between(old, and: new) == [
        FieldChange("run.env.B", before: nil, after: "2"), FieldChange("run.env.A", before: "1", after: nil),
      ])
  }

  /// A new field of a release or a policy is to be told too: whoever adds one adds it to `fields`, and here.
  @Test func `no field is forgotten`() {
    let release = Mirror(reflecting: spec(1)).children.compactMap(\.label) + Mirror(reflecting: spec(1).run).children.compactMap(\.label)
    #expect(
      release == [
        "artifact", "run", "config", "readiness", "stop", "task", "runtime", "command", "env", "secrets", "limits", "user",
      ])
    #expect(
      Mirror(reflecting: shop(1)).children.compactMap(\.label) == [
        "name", "formerly", "fleet", "tier", "replicas", "placement", "ports", "startTimeout", "minHealthyTime", "drain", "route",
        "strategy",
        "onFailure",
        "failureBudget", "progressDeadline", "hooks", "after", "windows", "secrets",
      ])
  }
}
