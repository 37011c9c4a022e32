package import SluiceModel

/// Waves of replacements within `maxUnavailable` and `maxSurge`, all releases behind one route.
extension Rolling: ReleaseStrategy {
  package func bounds(replicas: Int) -> Bounds {
    let surge = maxSurge.roundedUp(of: replicas)
    return Bounds(floor: max(0, replicas - maxUnavailable.roundedDown(of: replicas)), cap: replicas + surge, surge: surge)
  }

  package var manner: WaveManner { WaveManner(rackOrder: rackOrder, rackLossFloor: rackLossFloor, pauseBetween: pauseBetween) }
}
