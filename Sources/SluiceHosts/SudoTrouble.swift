internal import SluiceModel
internal import SluiceRollout

/// Why sudo did not run the script, from what it said in English.
struct SudoTrouble {
  var said: String
  var status: Int32?

  func failure(on host: Host) -> Failure {
    let user = host.ssh.user ?? "the login user"
    let account = host.ssh.user ?? "USER"
    let asRoot = "or log in as root with ssh.become: none"
    let (what, remedy) =
      if status == 127 || said.contains("not found") {
        ("ssh.become is sudo, and there is no sudo", "Install sudo, \(asRoot).")
      } else if said.contains("must have a tty") {
        (
          "sudo wants a terminal, and a script has none: its sudoers sets requiretty",
          "Lift it for this account: echo 'Defaults:\(account) !requiretty' > /etc/sudoers.d/sluice-tty, \(asRoot)."
        )
      } else if said.contains("no new privileges") {
        (
          "sudo may not become root there: sshd, or the container it runs in, sets \"no new privileges\"",
          "Take NoNewPrivileges from sshd's unit or the container, \(asRoot)."
        )
      } else {
        (
          "sudo does not work for \(user) without a password",
          "Let it: echo '\(account) ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/sluice, \(asRoot)."
        )
      }
    return Failure(.host, "\(host.name): \(what)", output: said, remedy: remedy)
  }
}
