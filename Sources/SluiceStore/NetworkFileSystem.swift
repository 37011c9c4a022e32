internal import Glibc

/// Tells file systems that another machine serves: there SQLite's WAL (shared memory) and `flock` do not hold between machines.
enum NetworkFileSystem {
  /// The name of the network file system that `path` lies on; nil where it is local or cannot be told.
  static func name(at path: String) -> String? { mountType(at: path).flatMap(name(mountType:)) }

  /// The kernel's name of the file system that `path` lies on.
  static func mountType(at path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return mountType(device: status.st_dev)
  }

  /// By the kernel's name of the file system, which alone tells a FUSE that is remote from one that is not.
  static func name(mountType: String) -> String? {
    let remote: [String] = [
      "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "coda", "ncpfs", "fuse.sshfs", "fuse.s3fs",
      "fuse.rclone", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs2", "fuse.curlftpfs", "fuse.goofys", "fuse.gcsfuse",
      "fuse.cifs",
      "fuse.juicefs", "fuse.seaweedfs", "fuse.moosefs", "fuse.mfs",
    ]
    return remote.contains(mountType) ? mountType : nil
  }

  /// The file system of a device, from the text of `/proc/self/mountinfo` (proc(5)).
  static func mountType(device: String, in mountinfo: String) -> String? {
    for line in mountinfo.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count > 3, fields[2] == device, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { continue }
      return String(fields[dash + 1])
    }
    return nil
  }

  private static func mountType(device: dev_t) -> String? {
    // glibc's encoding of device numbers (sys/sysmacros.h).
    let major = ((device >> 8) & 0xFFF) | ((device >> 32) & 0xFFFF_F000)
    let minor = (device & 0xFF) | ((device >> 12) & 0xFFFF_FF00)
    guard let file = fopen("/proc/self/mountinfo", "re") else { return nil }
    defer { fclose(file) }
    var text: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { text += chunk[..<count] }
    return mountType(device: "\(major):\(minor)", in: String(decoding: text, as: UTF8.self))
  }
}
