package import SluiceModel

extension Scenario {
  /// Something that goes wrong at a moment, and for how long.
  package struct Fault: Hashable, Sendable {
    /// In milliseconds of the run.
    package var at: Int64
    package var lasts: Int64
    package var kind: Kind

    package init(at: Int64, lasts: Int64, kind: Kind) {
      self.at = at
      self.lasts = lasts
      self.kind = kind
    }

    package enum Kind: Hashable, Sendable {
      /// Power loss; the host comes back, its systemd units with it.
      case hostCrash(HostName)
      /// The controller cannot reach it, users can.
      case hostCut(HostName)
      /// It does what it is asked, and its answers are lost on the way.
      case hostMute(HostName)
      case gatewayCut(HostName)
      /// The same one way only, as with a host.
      case gatewayMute(HostName)
      /// It is cut off when another gateway has got a table that moves users, and it has not.
      case gatewayCutInFlip(HostName)
      /// kill -9 and restart: its state survives.
      case gatewayRestart(HostName)
      /// Some of what it tells is lost, and some comes again, late.
      case staleNews(HostName)
      /// Instances there fail their probes for a while.
      case flapping(HostName)
      /// No release fits on its disk.
      case diskFull(HostName)
      /// Something else listens on the first two ports of the service's range.
      case portsTaken(HostName)
      /// Everything there takes ten times as long, looks too.
      case slow(HostName)
      /// Every hook fails.
      case hookFails
      /// Every hook that is begun hangs for ever.
      case hookHangs
      /// Somebody has taken all instances off it, their units too.
      case instancesGone(HostName)
      /// Every task that begins ends with an error.
      case taskFails
      /// The host of a task that begins loses power while it runs.
      case taskCutOff
      /// Every check of an analysis fails.
      case checkFails
      /// Every check hangs until its time is over.
      case checkHangs
      /// What checks answer is lost.
      case checkInDoubt
      /// The controller's database is gone when it starts next.
      case stateLost
      /// The controller dies, and nobody starts another one.
      case controllerAbsent
      /// A colleague takes over with an older database, while the first controller runs on.
      case secondController
      /// The wall clock jumps; time goes on as before.
      case clockJump(Int64)
      /// What every program needs is away: none that starts gets ready before it is back.
      case dependencyDown
      /// All releases that were ever started get sick, and only one that is newer gets ready.
      case releasesDie
      /// The programs on it have ended by themselves, and nothing starts them again.
      case programsEnd(HostName)
      /// Nothing can be written there: no space, no inodes, a file system mounted read-only.
      case noWrites(HostName)
      /// Whoever logs in gets no answer to anything.
      case shellHangs(HostName)
      /// The programs on it end as soon as they run, and whoever watches over them starts them again each time.
      case programsCrash(HostName)
      /// Another machine's services take all of its slots that are free.
      case strangers(HostName)
      /// It says what is not so.
      case hostLies(HostName, Scenario.Lie)
      /// The copy of the record there is not what a controller has left.
      case copyTampered(HostName, Scenario.Tampering)
    }
  }
}

extension Scenario.Fault.Kind {
  /// A word for counts.
  package var name: Name {
    switch self {
    case .hostCrash: .hostCrash
    case .hostCut: .hostCut
    case .hostMute: .hostMute
    case .gatewayCut: .gatewayCut
    case .gatewayMute: .gatewayMute
    case .gatewayCutInFlip: .gatewayCutInFlip
    case .gatewayRestart: .gatewayRestart
    case .staleNews: .staleNews
    case .flapping: .flapping
    case .diskFull: .diskFull
    case .portsTaken: .portsTaken
    case .slow: .slow
    case .hookFails: .hookFails
    case .hookHangs: .hookHangs
    case .instancesGone: .instancesGone
    case .taskFails: .taskFails
    case .taskCutOff: .taskCutOff
    case .checkFails: .checkFails
    case .checkHangs: .checkHangs
    case .checkInDoubt: .checkInDoubt
    case .stateLost: .stateLost
    case .controllerAbsent: .controllerAbsent
    case .secondController: .secondController
    case .clockJump: .clockJump
    case .dependencyDown: .dependencyDown
    case .releasesDie: .releasesDie
    case .programsEnd: .programsEnd
    case .programsCrash: .programsCrash
    case .hostLies: .hostLies
    case .strangers: .strangers
    case .noWrites: .noWrites
    case .shellHangs: .shellHangs
    case .copyTampered: .copyTampered
    }
  }

  /// All kinds, without where.
  package enum Name: String, CaseIterable, Sendable {
    case hostCrash = "host crash"
    case hostCut = "host cut off"
    case hostMute = "host's answers lost"
    case gatewayCut = "gateway cut off"
    case gatewayMute = "gateway's answers lost"
    case gatewayCutInFlip = "gateway cut off in mid-flip"
    case gatewayRestart = "gateway restart"
    case staleNews = "stale news"
    case flapping = "flapping health"
    case diskFull = "disk full"
    case portsTaken = "ports taken"
    case slow = "slow host"
    case hookFails = "hook fails"
    case hookHangs = "hook hangs"
    case stateLost = "state lost"
    case controllerAbsent = "controller absent"
    case secondController = "second controller"
    case clockJump = "clock jump"
    case instancesGone = "instances gone"
    case taskFails = "task fails"
    case taskCutOff = "task cut off"
    case checkFails = "check fails"
    case checkHangs = "check hangs"
    case checkInDoubt = "check in doubt"
    case dependencyDown = "dependency down"
    case releasesDie = "releases die"
    case programsEnd = "programs end"
    case programsCrash = "programs crash"
    case hostLies = "host lies"
    case strangers
    case noWrites = "nothing can be written"
    case shellHangs = "shell hangs"
    case copyTampered = "copy tampered with"
  }

  /// Those of tasks and checks.
  static let special: [Name] = [.taskFails, .taskCutOff, .checkFails, .checkHangs, .checkInDoubt]
  /// Those that were imagined later.
  static let widened: [Name] = [
    .dependencyDown, .releasesDie, .programsEnd, .programsCrash, .noWrites, .shellHangs, .copyTampered, .hostLies, .strangers,
  ]
  /// Those of a storm.
  static let stormy: [Name] = Name.allCases.filter { !widened.contains($0) }
  /// Those that are drawn for every story; of the others each has its own.
  static let common: [Name] = stormy.filter { !special.contains($0) && $0 != .instancesGone }

  /// One of that kind at one of the places.
  init(_ name: Name, host: HostName, edge: HostName, hours: Int64) {
    self =
      switch name {
      case .hostCrash: .hostCrash(host)
      case .hostCut: .hostCut(host)
      case .hostMute: .hostMute(host)
      case .gatewayCut: .gatewayCut(edge)
      case .gatewayMute: .gatewayMute(edge)
      case .gatewayCutInFlip: .gatewayCutInFlip(edge)
      case .gatewayRestart: .gatewayRestart(edge)
      case .staleNews: .staleNews(edge)
      case .flapping: .flapping(host)
      case .diskFull: .diskFull(host)
      case .portsTaken: .portsTaken(host)
      case .slow: .slow(host)
      case .hookFails: .hookFails
      case .hookHangs: .hookHangs
      case .instancesGone: .instancesGone(host)
      case .taskFails: .taskFails
      case .taskCutOff: .taskCutOff
      case .checkFails: .checkFails
      case .checkHangs: .checkHangs
      case .checkInDoubt: .checkInDoubt
      case .stateLost: .stateLost
      case .controllerAbsent: .controllerAbsent
      case .secondController: .secondController
      case .clockJump: .clockJump(hours * 3_600_000)
      case .dependencyDown: .dependencyDown
      case .releasesDie: .releasesDie
      case .programsEnd: .programsEnd(host)
      case .programsCrash: .programsCrash(host)
      case .hostLies: .hostLies(host, .holder)
      case .strangers: .strangers(host)
      case .noWrites: .noWrites(host)
      case .shellHangs: .shellHangs(host)
      case .copyTampered: .copyTampered(host, .torn)
      }
  }

  /// Where it is; nil: at the controller.
  package var place: HostName? {
    switch self {
    case .hostCrash(let host), .hostCut(let host), .hostMute(let host), .gatewayCut(let host), .gatewayMute(let host),
      .gatewayCutInFlip(let host), .gatewayRestart(let host), .staleNews(let host), .flapping(let host), .diskFull(let host),
      .portsTaken(let host), .slow(let host), .instancesGone(let host), .programsEnd(let host), .programsCrash(let host),
      .noWrites(let host), .shellHangs(let host), .copyTampered(let host, _), .hostLies(let host, _), .strangers(let host):
      host
    case .hookFails, .hookHangs, .taskFails, .taskCutOff, .checkFails, .checkHangs, .checkInDoubt, .stateLost, .controllerAbsent,
      .secondController, .clockJump, .dependencyDown, .releasesDie:
      nil
    }
  }
}
