internal import SluiceModel

/// The unit of a gateway (systemd.exec(5)): a user of its own, no rights but to listen on low ports, and nothing to write to but its state and its
/// admin socket's directory.
struct GatewayUnit {
  let gateway: GatewayName
  let directory: String
  let digest: Digest
  /// The user that it runs as.
  let account: String

  var text: String {
    let program = SystemdText.argument("\(directory)/bin/\(digest)")
    let lines =
      [
        "# Written by Sluice.", "[Unit]", "Description=Sluice gateway \(gateway)", "After=network.target", "StartLimitIntervalSec=0", "",
        "[Install]", "WantedBy=multi-user.target", "", "[Service]", "Type=exec",
        "ExecStart=\(program) run --config \(SystemdText.argument("\(directory)/config.json"))",
        "WorkingDirectory=\(SystemdText.path(directory))", "Environment=SWIFT_BACKTRACE=enable=no", "LimitNOFILE=1048576", "Restart=always",
        "RestartSec=200ms", "TimeoutStopSec=40s", "SyslogIdentifier=sluice-gateway-\(gateway)", "User=\(account)", "Group=\(account)",
        "UMask=0077", "ReadWritePaths=\(SystemdText.path("\(directory)/state")) \(SystemdText.path("\(directory)/run"))",
      ] + homes + Self.sandbox
    return lines.joined(separator: "\n") + "\n"
  }

  /// A root below one of these must stay in sight.
  private var homes: [String] {
    func lies(in places: [String]) -> Bool { places.contains { directory.hasPrefix($0 + "/") } }
    return ["ProtectHome=\(lies(in: ["/home", "/root", "/run/user"]) ? "read-only" : "yes")"]
      + (lies(in: ["/tmp", "/var/tmp"]) ? [] : ["PrivateTmp=yes"])
  }

  private static let sandbox = [
    "AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "NoNewPrivileges=yes", "ProtectSystem=strict",
    "PrivateDevices=yes", "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHostname=yes", "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes", "ProtectKernelTunables=yes", "ProtectProc=invisible", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes",
    "RemoveIPC=yes", "SystemCallArchitectures=native", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
  ]
}
