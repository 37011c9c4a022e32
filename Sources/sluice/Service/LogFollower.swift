import SluiceEngine
import SluiceHosts
import SluiceModel
import SluiceRollout
import SluiceStore

/// Follows the output of a service, not of the instances that it had when this began: which there are is asked of the hosts again and again, so
/// that what another machine starts is followed too, and at once where this machine's record tells of a change.
actor LogFollower {
  /// Hosts that the record does not name are asked as well where the fleet has no more than this many.
  private static let smallFleet = 32
  /// Between two looks at the record.
  private static let pause = Duration.milliseconds(300)
  /// Between two looks at a host of which nothing is heard.
  private static let hostPause = Duration.seconds(3)
  /// A new instance's log is read from its beginning.
  private static let wholeLog = 100_000
  /// What an instance wrote at its end comes in this time.
  private static let lastWords = Duration.milliseconds(700)

  private struct Place: Hashable {
    var host: HostName
    var number: Int
  }

  private let service: ServiceName
  private let only: Int?
  private let lines: Int
  private let workspace: Workspace
  private let hosts: FleetHosts
  private let console: Console
  private let writer: LogWriter

  private var streams: [Place: Task<Void, Never>] = [:]
  /// What was followed before, and where a stream that was lost is taken up again: what came meanwhile is not told twice.
  private var known: Set<Place> = []
  private var asked: [HostName: ContinuousClock.Instant] = [:]
  private var asking: Set<HostName> = []
  private var silent: Set<HostName> = []
  private var answered: Set<HostName> = []
  /// Where the first look went: what is found there is not new.
  private var initial: Set<HostName>?
  private var store: SQLiteStore?
  private var hasEnded = false
  private var isWaiting = false

  init(
    service: ServiceName, only: Int?, lines: Int, workspace: Workspace, hosts: FleetHosts, console: Console, writer: LogWriter
  ) {
    self.service = service
    self.only = only
    self.lines = lines
    self.workspace = workspace
    self.hosts = hosts
    self.console = console
    self.writer = writer
  }

  /// Until the task is cancelled; with one instance, until that has ended.
  func run() async throws {
    defer { for stream in streams.values { stream.cancel() } }
    var last: [Instance] = []
    while !hasEnded {
      if store == nil { store = try workspace.reader() }
      let record = try store?.load(workspace.fleet.name).records.first { $0.service == service }
      let instances = record?.instances ?? []
      let changed = instances != last
      last = instances
      let places = places(instances)
      initial = initial ?? Set(places.map(\.name))
      for host in places where isDue(host.name, now: changed) {
        asking.insert(host.name)
        Task { await ask(host) }
      }
      tellWaiting()
      try await Task.sleep(for: Self.pause)
    }
  }

  private func places(_ instances: [Instance]) -> [Host] {
    let all = workspace.fleet.hosts
    let named = Set(instances.filter { only == nil || $0.number == only }.map(\.host) + streams.keys.map(\.host))
    return all.filter { named.contains($0.name) || (only == nil && all.count <= Self.smallFleet && $0.slots > 0) }
  }

  private func isDue(_ host: HostName, now: Bool) -> Bool {
    guard !asking.contains(host) else { return false }
    guard let last = asked[host], !now || silent.contains(host) else { return true }
    return last + Self.hostPause < .now
  }

  private func ask(_ host: Host) async {
    defer {
      asking.remove(host.name)
      asked[host.name] = .now
    }
    do throws(HostFailure) {
      let numbers = try await hosts.instances(of: service, on: host).filter { only == nil || $0 == only }
      if silent.remove(host.name) != nil { console.say("\(host.name) answers again") }
      let isFirst = answered.insert(host.name).inserted && initial?.contains(host.name) ?? false
      for number in numbers { follow(Place(host: host.name, number: number), on: host, isFirst: isFirst) }
      for place in known where place.host == host.name && !numbers.contains(place.number) { await end(place) }
    } catch {
      if !hasEnded, silent.insert(host.name).inserted {
        console.complain("\(host.name): \(error.failure.message)", output: error.failure.output, remedy: error.failure.remedy)
        console.say("\(host.name) is asked again until it answers")
      }
    }
  }

  private func follow(_ place: Place, on host: Host, isFirst: Bool) {
    guard streams[place] == nil else { return }
    isWaiting = false
    let isAgain = !known.insert(place).inserted
    if isAgain {
      console.say("\(service)/\(place.number) on \(host.name) is followed again; what it wrote meanwhile is not shown")
    } else if !isFirst {
      console.say("\(service)/\(place.number) on \(host.name) is followed from now on")
    }
    let count = isAgain ? 0 : isFirst ? lines : Self.wholeLog
    let (service, hosts, writer) = (service, hosts, writer)
    streams[place] = Task {
      do {
        for try await line in hosts.logs(service, instance: place.number, on: host, lines: count, follow: true) {
          writer.write(line, host.name)
        }
      } catch {
        // Whether the instance has gone or the host, the next look at the host tells.
      }
      self.streams[place] = nil
    }
  }

  private func end(_ place: Place) async {
    known.remove(place)
    let stream = streams[place]
    try? await Task.sleep(for: Self.lastWords)
    stream?.cancel()
    console.say("\(service)/\(place.number) on \(place.host) has ended")
    if only != nil { hasEnded = true }
  }

  /// Once for each time that there is nothing to follow.
  private func tellWaiting() {
    guard known.isEmpty, !isWaiting, asking.isEmpty, !answered.isEmpty else { return }
    isWaiting = true
    console.say("no instance of \(service) is there now: the next one is waited for")
  }
}
