package import SluiceModel
package import SluiceRollout

extension FleetHosts {
  /// What a host shows of a service, for whoever only wants to know: it takes no fence and changes nothing. nil where it cannot be told.
  package func look(_ service: ServiceName, ports: PortRange, on host: Host) async -> HostFact? {
    var script = HostScript(FactScripts.look)
    script.set(place: service, of: fleet.name, on: host)
    script.set(range: ports)
    return (try? await link(host).run(script, .inspect, limits: limits))?.facts(of: host.name)
  }
}
