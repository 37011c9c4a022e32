package import SluiceModel

/// What is left of a release that failed or was superseded: enough to know its digest again.
package struct PastRelease: Hashable, Codable, Sendable {
  package let number: ReleaseNumber
  package let digest: Digest
  /// Why it is marked bad; nil: it is not.
  package var bad: String?
  /// What has become of its task.
  package var task: TaskRun?

  init(_ release: Release) {
    number = release.number
    digest = release.digest
    if case .bad(let why) = release.status { bad = why }
    task = release.task
  }
}

extension ServiceRecord {
  /// How many releases that succeeded are kept, on hosts too.
  package static let keptReleases = 5
  /// How many of the others are remembered.
  static let keptVerdicts = 50

  /// Every release that is marked bad, and why, the newest last.
  package var badReleases: [(number: ReleaseNumber, why: String)] {
    let kept = releases.compactMap { release in if case .bad(let why) = release.status { (release.number, why) } else { nil } }
    return ((past ?? []).compactMap { past in past.bad.map { (past.number, $0) } } + kept).sorted { $0.0 < $1.0 }
  }

  /// The releases whose files are kept: first the one that stands and the one before it.
  package var keptDigests: [Digest] {
    var numbers = [stable?.release, previous].compactMap(\.self)
    let wanted = [rollout?.goal.release, rollout?.origin.release].compactMap(\.self)
    let running = Set(instances.map(\.release))
    for release in releases.reversed() where !numbers.contains(release.number) {
      if release.status == .succeeded || wanted.contains(release.number) || running.contains(release.number) {
        numbers.append(release.number)
      }
    }
    return numbers.compactMap { release($0)?.digest }
  }

  /// Where a rollback that names none goes to.
  var before: ReleaseNumber? {
    guard let stands = stable?.release else { return nil }
    return walked.last { $0 != stands && release($0)?.status == .succeeded }
  }

  /// The way to the release that stands. Records of before it was kept have their releases' numbers.
  var walked: [ReleaseNumber] {
    if let way { return way }
    guard let stands = stable?.release else { return [] }
    return releases.filter { $0.status == .succeeded && $0.number < stands }.map(\.number) + [stands]
  }

  /// A release stands now: a rollback goes back along the way that was `walked`, everything else prolongs it.
  mutating func reach(_ release: ReleaseNumber, along walked: [ReleaseNumber], isRollback: Bool) {
    var way = walked
    if isRollback, let place = way.lastIndex(of: release) {
      way.removeSubrange((place + 1)...)
    } else if way.last != release {
      way.removeAll { $0 == release }
      way.append(release)
    }
    self.way = way
    previous = before
  }

  /// The release of that digest is tried again, under its number and with its task as it was; nil: it is none of `past`.
  mutating func recall(_ digest: Digest, spec: ReleaseSpec) -> ReleaseNumber? {
    guard let known = past?.last(where: { $0.digest == digest }) else { return nil }
    past?.removeAll { $0.digest == digest }
    var release = Release(number: known.number, digest: digest, spec: spec)
    release.task = known.task
    releases.insert(release, at: releases.partitioningIndex { $0.number >= known.number })
    return known.number
  }

  /// The next number, which no release has had.
  mutating func takeReleaseNumber() -> ReleaseNumber {
    let number = max(nextRelease ?? 1, (releases.last?.number.number ?? 0) + 1, (past?.last?.number.number ?? 0) + 1)
    nextRelease = number + 1
    return ReleaseNumber(number)
  }

  /// Five releases that succeeded are kept, what runs, what stands and what was before it; of all others, number, digest and verdict.
  mutating func trimReleases() {
    var keep = Set(instances.map(\.release))
    if let release = stable?.release { keep.insert(release) }
    if let previous { keep.insert(previous) }
    keep.formUnion(releases.filter { $0.status == .succeeded }.suffix(Self.keptReleases).map(\.number))
    guard releases.contains(where: { !keep.contains($0.number) }) else { return }
    let next = max(nextRelease ?? 1, (releases.last?.number.number ?? 0) + 1)
    let gone = releases.filter { !keep.contains($0.number) }
    releases.removeAll { !keep.contains($0.number) }
    nextRelease = next
    way = walked.filter { release($0) != nil }
    // One that succeeded long ago comes as a new one, should it come again.
    let remembered = gone.filter { $0.status != .succeeded }.map(PastRelease.init)
    if remembered.isEmpty { return }
    past = ((past ?? []) + remembered).sorted { $0.number < $1.number }.suffix(Self.keptVerdicts)
  }
}
