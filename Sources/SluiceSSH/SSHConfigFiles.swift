internal import Glibc
internal import NIOPosix
internal import Synchronization

/// Whether OpenSSH's configuration files (ssh_config(5)) say anything about a host that Sluice would use. Only then is it worth a process
/// of `ssh -G` for each host; which value applies is OpenSSH's to say.
enum SSHConfigFiles {
  /// Read again after this long, so that a controller that stays sees a change when it connects anew.
  private static let lifetime = Duration.seconds(2)
  private static let cache = Mutex<(at: ContinuousClock.Instant, scan: SSHConfigScan)?>(nil)

  /// Whether what the user's or the system's files say may concern a host of this name. Where in doubt, yes.
  static func concern(_ host: String) async throws -> Bool {
    try await NIOThreadPool.singleton.runIfActive {
      cache.withLock { cache in
        if let kept = cache, kept.at.duration(to: .now) < lifetime { return kept.scan.concerns(host) }
        let scan = SSHConfigScan.ofThisMachine()
        cache = (.now, scan)
        return scan.concerns(host)
      }
    }
  }
}

/// The `Host` blocks of configuration files, as far as they set something that Sluice uses.
struct SSHConfigScan {
  /// Settings that `SSHConfig` takes, and those that change which others apply.
  private static let settings: Set<String> = [
    "hostname", "user", "port", "identityfile", "identitiesonly", "identityagent", "userknownhostsfile", "globalknownhostsfile",
    "stricthostkeychecking", "hostkeyalias", "proxyjump", "proxycommand", "canonicalizehostname",
  ]
  private static let depthLimit = 16

  /// The patterns of blocks that set something; nil for what applies to every host, or to those that only OpenSSH can tell.
  private var blocks: [[String]?] = []

  /// The user's file and the system's, with what they include. Blocks: for the thread pool only.
  static func ofThisMachine() -> SSHConfigScan {
    var scan = SSHConfigScan()
    if let home = SystemEnvironment.accountHome { scan.read("\(home)/.ssh/config", folder: "\(home)/.ssh") }
    for folder in ["/etc/ssh", "/usr/etc/ssh"] { scan.read("\(folder)/ssh_config", folder: folder) }
    return scan
  }

  /// Whether a block may apply to the host. Negated patterns are left aside: a host they take out is asked about in vain, and no more.
  func concerns(_ host: String) -> Bool {
    let name = Array(host.utf8)
    return blocks.contains { patterns in
      patterns?.contains { !$0.hasPrefix("!") && KnownHosts.Entry.wildcard(Array($0.utf8), matches: name) } ?? true
    }
  }

  /// Reads a file and what it includes; `folder` is where relative names of included files begin. A file that is not there says nothing, and
  /// one that cannot be read may say anything.
  mutating func read(_ path: String, folder: String, under patterns: [String]?? = nil, depth: Int = 0) {
    switch SmallFile.read(path, limit: 4 << 20) {
    case .success(let bytes): scan(String(decoding: bytes, as: UTF8.self), folder: folder, under: patterns, depth: depth)
    case .failure(let error) where error.number == ENOENT || error.number == ENOTDIR: break
    case .failure: blocks.append(nil)
    }
  }

  /// `under`: the patterns of the block that the text is included in; nil outside of any, and nil within for one of unknown patterns.
  private mutating func scan(_ text: String, folder: String, under: [String]??, depth: Int) {
    var patterns: [String]? = under ?? nil
    for line in text.split(whereSeparator: \.isNewline) {
      guard let words = Self.words(line), let keyword = words.first?.lowercased() else {
        blocks.append(nil)
        continue
      }
      switch keyword {
      case "": break
      case "host": patterns = Array(words.dropFirst())
      case "match": patterns = nil
      case "include": for name in words.dropFirst() { include(name, folder: folder, under: patterns, depth: depth + 1) }
      default: if Self.settings.contains(keyword) { blocks.append(patterns) }
      }
    }
  }

  private mutating func include(_ name: String, folder: String, under patterns: [String]?, depth: Int) {
    // Variables and tokens are OpenSSH's to expand.
    let isAnothersHome = name.hasPrefix("~") && !name.hasPrefix("~/")
    guard depth <= Self.depthLimit, !name.contains("$"), !name.contains("%"), !isAnothersHome else { return blocks.append(nil) }
    let home = SystemEnvironment.accountHome ?? SystemEnvironment.home
    let path = name.hasPrefix("/") ? name : name.hasPrefix("~/") ? home + name.dropFirst() : "\(folder)/\(name)"
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(path, 0, nil, &found) == 0 else { return }
    for index in 0..<Int(found.gl_pathc) {
      if let file = found.gl_pathv[index] { read(String(cString: file), folder: folder, under: .some(patterns), depth: depth) }
    }
  }

  /// A line's words, the keyword first, which an equals sign may follow; `[""]` for one that says nothing, nil for a quote without an end.
  private static func words(_ line: Substring) -> [String]? {
    var words: [String] = []
    var word = ""
    var isOpen = false
    var hasWord = false
    for character in line {
      if character == "\"" {
        isOpen.toggle()
        hasWord = true
      } else if !isOpen, character == "#", !hasWord {
        break
      } else if !isOpen, character.isWhitespace || (character == "=" && words.count + (hasWord ? 1 : 0) <= 1) {
        if hasWord { words.append(word) }
        (word, hasWord) = ("", false)
      } else {
        word.append(character)
        hasWord = true
      }
    }
    if hasWord { words.append(word) }
    return isOpen ? nil : words.isEmpty ? [""] : words
  }
}
