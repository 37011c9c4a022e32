import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// The sample service: answers with its version and host, and can be told to go wrong.
@main
enum Main {
  static func main() {
    let options: Options
    do {
      options = try Options(arguments: Array(CommandLine.arguments.dropFirst()))
    } catch let error as UsageError {
      Log.error("sluice-sample: \(error.message)\n\(Options.usage)")
      exit(64)
    } catch {
      Log.error("sluice-sample: \(error)")
      exit(1)
    }
    if options.help {
      Log.output(Options.usage)
      exit(0)
    }
    run(options)
  }

  private static func run(_ options: Options) -> Never {
    // Blocked before any thread starts, so that all threads inherit it and `sigwait` alone sees these signals.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    signal(SIGPIPE, SIG_IGN)
    raiseFileLimit()

    let faults = options.faults
    if let status = faults.exit {
      Log.error("sluice-sample: version=\(options.version) cannot start: told to end with status \(status)")
      exit(status)
    }
    waitUnlessStopped(faults.startDelay)

    let sample = Sample(options)
    let server: Server
    do {
      server = try Server(sample, options)
    } catch {
      Log.error("sluice-sample: cannot listen on \(options.address) port \(options.port): \(error)")
      exit(1)
    }
    let name = "version=\(options.version) host=\(options.host) instance=\(options.instance ?? "-") pid=\(getpid())"
    Log.error("sluice-sample: started listen=\(server.address) \(name)")
    arm(faults, sample)
    waitForStop(signals, faults)
    server.stop(grace: options.grace)
    Log.error("sluice-sample: stopped \(name) \(sample.counters.line)")
    exit(0)
  }

  /// Each connection takes a descriptor, and the usual soft limit of 1024 is soon reached. Where it cannot be raised, what it is must do.
  private static func raiseFileLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }

  /// A slow start that can still be stopped: ends the process when a signal comes first.
  private static func waitUnlessStopped(_ duration: Duration) {
    let deadline = ContinuousClock.now + duration
    while ContinuousClock.now < deadline {
      var arrived = sigset_t()
      if sigpending(&arrived) == 0, sigismember(&arrived, SIGTERM) == 1 || sigismember(&arrived, SIGINT) == 1 {
        Log.error("sluice-sample: stopped before it listened")
        exit(0)
      }
      usleep(10_000)
    }
  }

  private static func waitForStop(_ signals: sigset_t, _ faults: Faults) {
    var signals = signals
    while true {
      var received: Int32 = 0
      guard sigwait(&signals, &received) == 0 else { continue }
      guard faults.ignoreTerm else { return }
      Log.error("sluice-sample: signal \(received) ignored, as told")
    }
  }

  /// Starts the clocks of the faults that come later.
  private static func arm(_ faults: Faults, _ sample: Sample) {
    guard faults.crashAfter != nil || faults.failHealthAfter != nil else { return }
    let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
    if let wait = faults.failHealthAfter {
      loop.scheduleTask(in: TimeAmount(wait)) { sample.health.good.store(false, ordering: .relaxed) }
    }
    if let wait = faults.crashAfter {
      loop.scheduleTask(in: TimeAmount(wait)) {
        Log.error("sluice-sample: crash, as told \(sample.counters.line)")
        abort()
      }
    }
  }
}
