import CSystemCalls
import FileAccess
import Foundation
import SystemPackage

/// Whether a free lock on a file proves that no process on any machine holds it.
///
/// A local file system has one kernel. NFS passes flock(2) to its server, unless it was mounted with `nolock` or
/// `local_lock`. Locks of other file systems (FUSE, SMB, 9p, unknown ones) are not trusted.
enum LockReach {
    /// Local file systems, by the numbers of statfs(2): ext, XFS, Btrfs, tmpfs, overlay, F2FS, ZFS, FAT, exFAT,
    /// bcachefs, ramfs.
    private static let local: Set<UInt64> = [
        0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0xf2f5_2010, 0x2fc1_2fc1, 0x4d44, 0x2011_bab0,
        0xca45_1a4e, 0x8584_58f6,
    ]
    private static let nfs: UInt64 = 0x6969

    /// Whether every machine that sees a file in the directory also sees its lock.
    static func isComplete(at directory: FilePath) -> Bool {
        let type = directory.withPlatformString { kfacd_file_system_type($0) }
        if local.contains(type) { return true }
        guard type == nfs, let file = FileStatus(of: directory, followsLinks: true) else { return false }
        return !mountOptions(ofDevice: file.device).contains { option in
            option == "nolock" || option == "local_lock=all" || option == "local_lock=flock"
        }
    }

    /// The mount options of a device, as listed in proc(5).
    private static func mountOptions(ofDevice device: UInt64) -> [Substring] {
        let number = "\((device >> 8) & 0xfff):\((device & 0xff) | ((device >> 12) & 0xfff00))"
        let text = TextFile.ofKernel("/proc/self/mountinfo") ?? ""
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, fields[2] == number else { continue }
            return (fields[5].split(separator: ",") + (fields.last?.split(separator: ",") ?? []))
        }
        return []
    }
}
