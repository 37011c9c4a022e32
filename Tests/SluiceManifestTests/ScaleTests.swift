import SluiceManifest
import SluiceModel
import Testing

@Suite struct ScaleTests {
  @Test func `Ten thousand hosts and two hundred services are read`() throws {
    var fleet = "apiVersion: sluice/v1\nkind: Fleet\nmetadata: { name: prod }\nspec:\n  racks:\n"
    for rack in 0..<100 {
      fleet += "    - name: r\(rack)\n      hosts:\n"
      for host in 0..<100 {
        fleet +=
          "        - { name: h\(rack)-\(host), address: 10.0.\(rack).\(host), slots: 8, labels: { disk: ssd, zone: z\(rack % 3) } }\n"
      }
    }
    let gateway =
      "apiVersion: sluice/v1\nkind: Gateway\nmetadata: { name: edge }\nspec: { fleet: prod, hosts: [h0-0], listen: [{ address: \"::\", port: 80 }] }\n"
    let services = (0..<200).map { number in
      """
      apiVersion: sluice/v1
      kind: Service
      metadata: { name: s\(number) }
      spec:
        fleet: prod
        replicas: 100
        placement: { require: { disk: ssd, zone: z\(number % 3) } }
        artifact: { directory: . }
        run: { command: [run] }
        route: { gateway: edge, hosts: [s\(number).example.com] }

      """
    }
    let text = ([fleet, gateway] + services).joined(separator: "---\n")
    let result = ManifestReader.read(sources: [ManifestSource(name: "big.yaml", text: text, baseDirectory: "/")])
    #expect(result.diagnostics == [])
    let manifests = try #require(result.manifests)
    #expect(manifests.fleets.first?.hosts.count == 10_000)
    #expect(manifests.services.count == 200)
  }
}
