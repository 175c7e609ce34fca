import FileAccess
import Identifiers
import Safetensors
import Synchronization
import SystemPackage
import WireProtocol

/// The staged files of jobs that this machine sees, and into which it may write.
///
/// A path may lead to another object on another machine. So a file must have the size and the header that the
/// coordinator states. The coordinator compares all bytes with their digests in the end. Source: DESIGN section 5.
final class StagedFiles: Sendable {
    /// The most files whose headers are remembered.
    private static let countMax = 8192

    private struct Object: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    private let proven = Mutex<[Object: LeasedFile]>([:])
    private let roots: FileRoots

    init(roots: FileRoots) {
        self.roots = roots
    }

    /// Opens a file; `nil` when this machine has no such file.
    func open(_ leased: LeasedFile) -> OpenedFile<SafetensorsError>? {
        let path = FilePath(leased.path)
        guard Self.isStaged(path), let file = try? OpenedFile<SafetensorsError>(changing: path, within: roots),
            let status = try? file.status(), UInt64(status.byteCount) == leased.byteCount
        else { return nil }
        let object = Object(device: status.device, inode: status.inode)
        if proven.withLock({ $0[object] }) != leased {
            guard let digest = try? SafetensorsFile.headerDigest(of: file, byteCount: status.byteCount),
                digest == leased.headerDigest.bytes
            else { return nil }
            proven.withLock { proven in
                if proven.count >= Self.countMax { proven = [:] }
                proven[object] = leased
            }
        }
        return file
    }

    /// Whether a path is that of a staged file, so that no lease can name another file.
    private static func isStaged(_ path: FilePath) -> Bool {
        guard let name = path.lastComponent?.string, name.hasPrefix("."), name.hasSuffix(stagedFileSuffix) else {
            return false
        }
        return path.isAbsolute && path.components.contains { $0.string.hasPrefix(".kfacd-") }
            && path.components.allSatisfy { $0.kind == .regular }
    }
}
