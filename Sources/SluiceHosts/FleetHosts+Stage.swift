internal import NIOCore
internal import NIOPosix
internal import SluiceEngine
internal import SluiceModel
internal import SluiceRollout
internal import SluiceSSH

extension FleetHosts {
  /// Asks what is there, then uploads what is missing and unpacks it: two round trips, one where the release is there.
  func stage(_ release: Release, _ order: HostOrder, on host: Host) async throws -> AttemptResult {
    guard release.spec.config.isEmpty else {
      return .failed(Failure(.staging, "\(order.service)\(release.number) has config files, which are not brought to hosts yet"))
    }
    let artifact = release.spec.artifact
    let file: PackedFile
    do {
      file = try await PackedFile.look(artifacts(artifact))
    } catch {
      return .failed(
        Failure(
          .staging, "the packed artifact of \(order.service)\(release.number) cannot be read here: \(error)",
          remedy: "Apply again: it is packed anew."))
    }
    let link = link(host)
    let run = release.spec.run
    if let failure = try await forwarding(release.spec.readiness, order, on: host) { return .failed(failure) }
    func script(_ source: String) -> HostScript {
      var script = HostScript(source)
      script.set(place: order.service, of: fleet.name, on: host)
      script.set(fence: order.fence)
      script.set("digest", release.digest.rawValue)
      script.set("artifact", artifact.rawValue)
      script.set("size", file.size)
      script.set("runtime", host.runtime(for: run.runtime).rawValue)
      script.set("user", run.user ?? "")
      script.set("limits", run.limits == Limits() ? "" : "1")
      // What an instance's number or port is part of is looked for when the instance starts.
      script.set("others", Self.furtherPrograms(of: release))
      script.set("program", run.command.first.flatMap { $0.contains("${") ? nil : $0 } ?? "")
      return script
    }
    var check = script(StageScripts.check)
    check.set("unpacked", file.unpackedSize)
    check.set("about", InstanceText.json(of: release, service: order.service))
    var answer = try await link.run(check, .stage, limits: limits)
    var tries = 0
    while !answer.has("present"), let offset = answer.number("offset", as: Int64.self) {
      tries += 1
      guard tries <= 3 else {
        return .failed(
          Failure(.staging, "\(host.name): somebody else writes the same upload", remedy: "Try again when the other has ended."))
      }
      var upload = script(StageScripts.upload)
      upload.set("offset", offset)
      answer = try await link.upload(
        upload, file: file.path, offset: offset, limits: SSHLimits(timeout: nil, silence: .seconds(120), maxOutput: 1 << 20))
    }
    guard let generation = answer.number("generation", as: UInt64.self) else { throw HostTrouble.unreadable(host) }
    return .succeeded(.host(generation: generation))
  }

  /// The programs that a release runs on a host besides its own, as words for a shell: checked where it is staged.
  static func furtherPrograms(of release: Release) -> String {
    var programs = [release.spec.task?.command.first, release.spec.stop.preStop?.first].compactMap { $0 }
    if case .exec(let command) = release.spec.readiness.probe, let first = command.first { programs.append(first) }
    return Shell.words(programs)
  }
}

/// A packed artifact on this machine.
struct PackedFile: Sendable {
  var path: String
  var size: Int64
  /// Of the tar inside, as gzip's last four bytes say (RFC 1952 section 2.3.1): right up to 4 GiB.
  var unpackedSize: Int64

  static func look(_ path: String) async throws -> PackedFile {
    try await LocalFile.read(path) { handle, size in
      guard size >= 20 else { throw IOError(errnoCode: 22, reason: "\(path) is too short for a gzip-compressed tar") }
      let tail = try handle.readTail(4, size: size)
      let unpacked = tail.enumerated().reduce(Int64(0)) { $0 | Int64($1.element) << (8 * Int64($1.offset)) }
      return PackedFile(path: path, size: size, unpackedSize: unpacked)
    }
  }
}
