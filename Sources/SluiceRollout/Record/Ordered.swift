extension Array {
  /// Removes what `removeAll(where:)` does, and leaves an array that loses nothing as it is: that one would copy it where it is shared.
  mutating func removeAny(where goes: (Element) -> Bool) {
    if contains(where: goes) { self = filter { !goes($0) } }
  }

  /// In order of its keys: itself, where it is that already.
  func inOrder(by key: (Element) -> some Comparable) -> [Element] {
    let isOrdered = indices.dropFirst().allSatisfy { key(self[$0 - 1]) <= key(self[$0]) }
    return isOrdered ? self : sorted { key($0) < key($1) }
  }
}

extension RandomAccessCollection {
  /// The first place at which `belongsBehind` holds, in a collection in which it holds from some place on.
  @inlinable package func partitioningIndex(where belongsBehind: (Element) -> Bool) -> Index {
    var low = startIndex
    var count = count
    while count > 0 {
      let half = count / 2
      let middle = index(low, offsetBy: half)
      if belongsBehind(self[middle]) {
        count = half
      } else {
        low = index(after: middle)
        count -= half + 1
      }
    }
    return low
  }

  /// The place of the element with that key, in a collection in order of its keys.
  func index<Key: Comparable>(of key: Key, by path: (Element) -> Key) -> Index? {
    let index = partitioningIndex { path($0) >= key }
    return index < endIndex && path(self[index]) == key ? index : nil
  }
}
