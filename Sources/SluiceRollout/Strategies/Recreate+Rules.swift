package import SluiceModel

/// One wave: all old ones go, requests wait at the gateway, all new ones come.
extension Recreate: ReleaseStrategy {
  package func bounds(replicas: Int) -> Bounds { Bounds(floor: 0, cap: replicas, surge: 0) }

  package var manner: WaveManner { WaveManner(holding: queue) }
}
