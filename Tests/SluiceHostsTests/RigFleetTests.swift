import Foundation
import SluiceEngine
import SluiceModel
import SluiceRollout
import Testing

@testable import SluiceHosts

extension RigTests {
  private func fact(_ bench: Bench) async throws -> InstanceFact { try #require(try await bench.facts().instances.first) }

  @Test(
    "A unit is never given up while its program fails, and its host tells since when and with what; what was stopped or removed by hand is told"
  )
  func endedUnits() async throws {
    try await Rig.run { bench in
      let (instance, release) = try await bench.running {
        $0.run.runtime = .auto; $0.run.env = ["FAULT": "down", "DOWN": "/var/tmp/down"]
      }
      let unit = HostTag.unit(of: 1, "shop", "test", root: bench.host.root)
      try await Rig.exec("touch /var/tmp/down; systemctl kill --signal=KILL \(unit)")
      var seen: [EndedFact] = []
      try await eventually("it has failed twice") {
        let now = try await fact(bench)
        #expect(now.running)
        if let ended = now.ended, seen.last != ended { seen.append(ended) }
        return (seen.last?.restarts ?? 0) >= 2
      }
      #expect(seen.allSatisfy { $0.cause == .exited && $0.since != nil } && seen.contains { $0.exitStatus == 1 }, "\(seen)")
      #expect(
        try await Rig.exec("systemctl show -p StartLimitIntervalUSec -p Restart \(unit)") == "Restart=always\nStartLimitIntervalUSec=0\n")
      try await Rig.exec("rm /var/tmp/down")
      try await eventually("it answers again") { (try? await bench.get(instance)) != nil }
      try await eventually("it is up") { try await fact(bench).ended == nil }

      try await Rig.exec("systemctl stop \(unit)")
      var now = try await fact(bench)
      #expect(!now.running && now.ended?.cause == .unsupervised, "\(now)")
      #expect(await bench.perform(.start(instance, release)).generation != nil)
      #expect(try await fact(bench).running)

      try await Rig.exec("rm /etc/systemd/system/\(unit) && systemctl daemon-reload")
      now = try await fact(bench)
      #expect(!now.running && now.ended?.cause == .unitRemoved, "\(now)")
      let pid = try await Rig.exec("systemctl show -p MainPID --value \(unit)")
      #expect(await bench.perform(.start(instance, release)).generation != nil)
      #expect(try await fact(bench).running)
      #expect(try await Rig.exec("systemctl show -p MainPID --value \(unit)") == pid)
      try await Rig.exec("rm /etc/systemd/system/\(unit) && systemctl daemon-reload")
      #expect(await bench.perform(.stop(instance, release)).generation != nil)
      #expect((try? await bench.get(instance)) == nil)

      let (daemon, background) = try await bench.staged(2) {
        $0.run.runtime = .auto; $0.run.env = ["FAULT": "daemon-1"]
      }
      var result = await bench.perform(.start(daemon, background))
      if result.failure == nil { result = await bench.perform(.checkReady(daemon, background)) }
      #expect(try #require(result.failure, "\(result)").remedy.contains("foreground"))
      #expect(await bench.perform(.stop(daemon, background)).generation != nil)
    }
  }

  @Test(
    "Two fleets on one host keep their units apart and see each other's ports; units of Sluice 0.1 go on under their names; a stranger's unit is left alone"
  )
  func twoFleets() async throws {
    try await Rig.run { bench in
      var host = bench.host
      host.root = "/var/lib/sluice-staging"
      var staging = Bench(host, directory: bench.directory, fleet: "staging")
      staging.policy.ports = bench.policy.ports
      staging.policy.startTimeout = bench.policy.startTimeout
      let (instance, release) = try await bench.running { $0.run.runtime = .auto }
      guard case .granted(let claimed, _) = await staging.claim() else { return #expect(Bool(false), "granted") }
      #expect(claimed.instances.isEmpty && claimed.listening.contains(instance.port))
      let copy = try await staging.release { $0.run.runtime = .auto }
      #expect(await staging.perform(.stage(copy)).generation != nil)
      let same = try #require(await staging.perform(.start(try await staging.instance(1, of: copy, port: instance.port), copy)).failure)
      #expect(same.kind == .portTaken && same.message.contains("/var/lib/sluice/shop/instances/1 (fleet test)"), "\(same)")
      let theirs = try await staging.instance(1, of: copy, port: instance.port == 29_999 ? 29_998 : instance.port + 1)
      #expect(await staging.perform(.start(theirs, copy)).generation != nil)
      #expect(await staging.perform(.checkReady(theirs, copy)) == .succeeded(.nothing))
      let names = try await Rig.exec("ls /etc/systemd/system | grep sluice").split(separator: "\n").map(String.init)
      let units = (HostTag.unit(of: 1, "shop", "test", root: bench.host.root), HostTag.unit(of: 1, "shop", "staging", root: host.root))
      #expect(Set(names) == [units.0, units.1])
      let report = await HostInspector(hands: bench.hands).inspect(bench.host)
      #expect(
        report.problems.contains { $0.isWarning && $0.message.contains("shop/1 of fleet staging on port \(theirs.port)") },
        "\(report.problems)")

      // As Sluice 0.1 named it.
      let former = "sluice-shop-1.service"
      try await Rig.exec(
        """
        cd /etc/systemd/system && systemctl stop \(units.0) && mv \(units.0) \(former) && mv multi-user.target.wants/\(units.0) multi-user.target.wants/\(former)
        ln -sf /etc/systemd/system/\(former) multi-user.target.wants/\(former)
        rm /var/lib/sluice/shop/instances/1/unit /var/lib/sluice/shop/fleet; systemctl daemon-reload; systemctl start \(former)
        """)
      guard case .granted(let taken, _) = await bench.claim(Fence(owner: bench.fence.owner, epoch: 2)) else {
        return #expect(Bool(false), "granted")
      }
      #expect(taken.instances == [InstanceFact(number: 1, port: instance.port, running: true)])
      // Staging of 0.1 writes its own unit over it: that is not ours any more, and not to be stopped.
      let next = Fence(owner: bench.fence.owner, epoch: 2)
      try await Rig.exec("sed -i 's|/var/lib/sluice/|/var/lib/sluice-old/|' /etc/systemd/system/\(former) && systemctl daemon-reload")
      guard case .succeeded(.facts(let lost)) = await bench.perform(.observe, fence: next) else { return #expect(Bool(false), "facts") }
      #expect(lost.instances.first?.ended?.cause == .unitRemoved)
      let alone = try #require(await bench.perform(.stop(instance, release), fence: next).failure)
      #expect(alone.kind == .stop && alone.message.contains("still open"), "\(alone)")
      #expect(try await Rig.exec("systemctl is-active \(former)") == "active\n")
      // Given back, it is stopped under its name, and staging goes on.
      try await Rig.exec("sed -i 's|/var/lib/sluice-old/|/var/lib/sluice/|' /etc/systemd/system/\(former) && systemctl daemon-reload")
      #expect(await bench.perform(.stop(instance, release), fence: next).generation != nil)
      #expect(try await Rig.exec("ls /etc/systemd/system | grep sluice") == "\(units.1)\n")
      #expect(try await staging.facts().instances.first?.running == true)
      await staging.hands.close()
    }
  }
}
